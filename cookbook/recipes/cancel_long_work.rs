use std::{error::Error, time::Duration};

use tokio::time::timeout;
use ump_server::{service, thread};

struct Search;

#[service]
impl Search {
    fn find(&self, factor: u64, reply: service::ReplyTo<'_, Self, u64>) {
        for n in 1.. {
            if n % factor == 0 {
                let _ = reply.reply(n);
                return;
            }
            if n % 1024 == 0 && reply.is_cancelled() {
                return; // nobody waits for the rest
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (client, _) = thread::serve(Search);
    let search = SearchClient(client);

    // This takes for ever. The future is dropped after the time-out, which cancels the request.
    let given_up = timeout(Duration::from_millis(1), search.find(u64::MAX)).await;
    assert!(given_up.is_err());

    // A deadline does the same, and its error says whether the handler had begun.
    let late = search.find(u64::MAX).timeout(Duration::from_millis(1)).await;
    assert!(late.is_err_and(|error| error.is_timeout()));

    assert_eq!(search.find(7).await?, 7); // the thread is free again
    Ok(())
}
