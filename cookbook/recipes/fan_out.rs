use std::{
    convert::Infallible,
    error::Error,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use ump::{Client, Gather};
use ump_server::thread;

type Shard = Client<&'static str, usize, Infallible>;

/// Asks all shards at once. Returns what they found, and the shards that did not answer in time.
async fn search(shards: &[Shard], word: &'static str) -> (usize, Vec<usize>) {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut answers = Gather::new();
    let mut missing = Vec::new();
    for (number, shard) in shards.iter().enumerate() {
        match shard.request(word).deadline(deadline).submit().await {
            Ok(reply) => answers.push(number, reply),
            Err(_) => missing.push(number),
        }
    }
    let mut found = 0;
    while let Some((number, answer)) = answers.next().await {
        match answer {
            Ok(count) => found += count,
            Err(_) => missing.push(number),
        }
    }
    (found, missing)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (first, _) = thread::serve(thread::reply(|word: &str| word.len()));
    let (second, _) = thread::serve(thread::reply(|_: &str| 1));
    let (server, gone) = ump::channel();
    drop(server);
    assert_eq!(search(&[first, second, gone], "tea").await, (4, vec![2]));
    Ok(())
}
