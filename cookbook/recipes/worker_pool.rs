use std::{error::Error, thread::available_parallelism};

use futures_util::StreamExt;
use ump::Gather;
use ump_server::{OnPanic, thread};

fn checksum(data: Vec<u8>) -> u32 {
    data.into_iter().fold(1, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (client, pool) = thread::Builder::new()
        .name("checksum")
        .capacity(64)
        .on_panic(OnPanic::Continue) // a worker has no state that a panic could break
        .spawn_pool(available_parallelism()?, |_| Ok(thread::reply(checksum)))?;

    let mut sums = Gather::new();
    for number in 0..100 {
        let reply = client.request(vec![number]).submit().await?; // waits for room
        sums.push(number, reply);
    }
    let mut done = 0;
    while let Some((number, sum)) = sums.next().await {
        assert_eq!(sum?, 31 + u32::from(number));
        done += 1;
    }
    assert_eq!(done, 100);

    drop(client);
    pool.await?;
    Ok(())
}
