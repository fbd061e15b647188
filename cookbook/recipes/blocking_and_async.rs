use std::{error::Error, thread::spawn};

use ump_server::{service, thread};

struct Ids(u64);

#[service]
impl Ids {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (client, handle) = thread::serve(Ids(0));
    let ids = IdsClient(client);

    // A thread blocks.
    let from_thread = spawn({
        let ids = ids.clone();
        move || ids.next().wait()
    });

    // Tasks await, here two at once. Any executor will do.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (one, other) = runtime.block_on(async { tokio::join!(ids.next(), ids.next()) });

    let from_thread = from_thread.join().map_err(|_| "the thread panicked")??;
    assert_eq!(from_thread + one? + other?, 1 + 2 + 3);

    drop(ids);
    handle.join()?; // or `.await?`
    Ok(())
}
