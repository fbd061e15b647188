use std::{error::Error, num::NonZeroUsize, sync::Arc};

use rusqlite::Connection;
use ump_server::{service, thread::Builder};

type Failure = Arc<rusqlite::Error>; // one for all callers of a batch

struct Log(Connection);

#[service(start_error = rusqlite::Error)]
impl Log {
    #[batch_start]
    fn begin(&self) -> Result<(), Failure> {
        Ok(self.0.execute_batch("BEGIN")?)
    }

    fn append(&self, line: String) -> Result<usize, Failure> {
        Ok(self.0.execute("INSERT INTO log VALUES (?1)", [line])?)
    }

    #[batch_end]
    fn commit(&self) -> Result<(), Failure> {
        let Err(error) = self.0.execute_batch("COMMIT") else { return Ok(()) };
        self.0.execute_batch("ROLLBACK")?;
        Err(error.into())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let most = NonZeroUsize::new(256).ok_or("no batch")?;
    let (client, _) = Builder::new().capacity(1024).spawn_batches(most, |_| {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch("CREATE TABLE log (line TEXT)")?;
        Ok(Log(connection))
    })?;
    let log = LogClient(client);
    let (one, other) = tokio::join!(log.append("one".into()), log.append("other".into()));
    assert_eq!((one?, other?), (1, 1)); // the replies come after the commit
    Ok(())
}
