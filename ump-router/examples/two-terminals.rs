//! A hub and its clients: `cargo run hub` in one terminal, `cargo run` in others.

use std::{env, error::Error, time::Duration};

use serde::{Deserialize, Serialize};
use ump_router::{Message, RequestMessage, Router};

#[derive(Serialize, Deserialize)]
struct Price(f64);

impl Message for Price {
    const PREFIX: &str = "price";
}

#[derive(Serialize, Deserialize)]
struct Buy {
    coins: f64,
}

impl RequestMessage for Buy {
    type Reply = f64;
    type Error = String;
    const PREFIX: &str = "buy";
}

fn main() -> Result<(), Box<dyn Error>> {
    let router = Router::new();
    router.carry::<Price>()?; // these types may leave the process, by serde; all others stay
    router.carry_requests::<Buy>()?;
    match env::args().nth(1).as_deref() {
        Some("hub") => hub(&router),
        _ => client(&router),
    }
}

fn hub(router: &Router) -> Result<(), Box<dyn Error>> {
    let _listener = router.listen("unix:bus.sock")?; // or "tcp:127.0.0.1:4242"
    println!("listening");
    let market = router.serve::<Buy>("eth")?;
    for (call, rctx) in &market {
        let price = 3000.0 + call.message.coins;
        println!("sold {} for {price} each", call.message.coins);
        router.publish("eth/eur", Price(price)).wait()?;
        let _ = rctx.reply(call.message.coins * price); // an error if the caller is gone
    }
    Ok(())
}

fn client(router: &Router) -> Result<(), Box<dyn Error>> {
    let timeout = Duration::from_secs(5);
    let link = router.connect("unix:bus.sock")?; // made again whenever it is lost
    if !link.opened().timeout(timeout).wait() {
        return Err("there is no hub: start it by `cargo run hub`".into());
    }
    let mut prices = router.subscribe::<Price>("*/eur")?;
    let buy = router.request("eth", Buy { coins: 2.0 }).timeout(timeout);
    match buy.wait() {
        Ok(cost) => println!("2 coins cost {cost}"),
        Err(error) => println!("{error}"), // by which link, why, and whether it was executed
    }
    for price in &mut prices {
        match price {
            Ok(price) => println!("{}: {}", price.topic(), price.0),
            Err(gap) => println!("{gap}"), // how many are missing here, or that the link was lost
        }
    }
    Ok(())
}
