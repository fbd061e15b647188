//! A stream into a server, as fast as the server takes it.
//!
//! ```sh
//! cargo run -p ump-tower --features sink --example stream-into-server
//! ```

use futures_util::{StreamExt, stream};
use ump::SendError;
use ump_server::thread;
use ump_tower::PostSink;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (client, handle) = thread::Builder::new()
        .capacity(2) // the stream waits while two lines are queued
        .serve(thread::reply(|line: String| println!("{line}")))?;

    let lines = stream::iter(1..=5).map(|n| Ok(format!("line {n}")));
    lines
        .forward(PostSink::new(client))
        .await
        .map_err(SendError::without_message)?;

    // The sink has released the last client: the server prints what is queued, and ends.
    handle.await?;
    Ok(())
}
