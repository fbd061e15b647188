use std::error::Error;

use ump_router::{Message, RecvError, Router, SubscribeOptions, WhenFull};

struct Price(u32);

impl Message for Price {
    const PREFIX: &str = "price";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let router = Router::new();
    let options = SubscribeOptions::new().capacity(2).when_full(WhenFull::DropOldest);
    let mut prices = router.subscribe_with::<Price>("*/eur", options)?;

    for price in 1..=5 {
        router.publish("eth/eur", Price(price)).await?; // never waits for this subscriber
    }
    router.close(); // so that the loop below ends

    let (mut seen, mut missed) = (Vec::new(), 0);
    loop {
        match prices.recv().await {
            Ok(price) => seen.push((price.topic().to_string(), price.0)),
            Err(RecvError::Missed(number)) => missed += number, // here: fetch a snapshot
            Err(RecvError::Closed) => break,
            Err(error) => return Err(error.into()),
        }
    }
    assert_eq!(missed, 3);
    assert_eq!(seen, [("eth/eur".to_owned(), 4), ("eth/eur".to_owned(), 5)]);
    Ok(())
}
