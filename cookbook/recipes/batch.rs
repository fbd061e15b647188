use std::{error::Error, num::NonZeroUsize, ops::ControlFlow, sync::Arc};

use rusqlite::Connection;
use ump_server::thread::{Batch, BatchService, Builder};

type Failure = Arc<rusqlite::Error>; // one for all callers of a batch

struct Log(Connection);

impl Log {
    fn append(&mut self, lines: &Batch<String, (), Failure>) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        for (line, _) in lines {
            transaction.execute("INSERT INTO log VALUES (?1)", [line])?;
        }
        transaction.commit() // one sync for all of them
    }
}

impl BatchService for Log {
    type Request = String;
    type Reply = ();
    type Error = Failure;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, lines: &mut Batch<String, (), Failure>) -> ControlFlow<()> {
        let outcome = self.append(lines).map_err(Arc::new);
        for (_, caller) in lines.drain() {
            let _ = caller.answer(outcome.clone());
        }
        ControlFlow::Continue(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let most = NonZeroUsize::new(256).ok_or("no batch")?;
    let (log, _) = Builder::new().capacity(1024).spawn_batches(most, |_| {
        let open = Connection::open_in_memory().map_err(Arc::new)?;
        open.execute_batch("CREATE TABLE log (line TEXT)").map_err(Arc::new)?;
        Ok(Log(open))
    })?;
    let (one, other) = tokio::join!(log.areq("one".into()), log.areq("other".into()));
    one.and(other)?; // each reply comes after the commit
    Ok(())
}
