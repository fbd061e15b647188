//! Handlers on tasks that wait for more than requests and timers: sockets of the runtime, channels.

mod events;
mod sockets;

use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// Fails a test that waits for something that never comes.
async fn in_time<F: Future>(future: F) -> F::Output {
    let waited = tokio::time::timeout(LONG, future).await;
    waited.expect("it comes within a minute")
}
