//! A stack of tower in front of a channel, and another one behind it.
//!
//! ```sh
//! cargo run -p ump-tower --features server --example tower-stack
//! ```

use std::{num::NonZeroUsize, time::Duration};

use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use ump::{Refused, RequestError};
use ump_server::task;
use ump_tower::{ClientService, TowerHandler};

async fn divide((a, b): (u32, u32)) -> Result<u32, Refused> {
    a.checked_div(b).ok_or(Refused)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Behind the channel: at most four calls at a time, in whichever order they end.
    let handler = TowerHandler::new(service_fn(divide));
    let workers = NonZeroUsize::new(4).ok_or("no workers")?;
    let (client, loops) = task::Builder::new()
        .capacity(16)
        .spawn_pool(workers, move |_| Ok(handler.clone()))?;

    // In front of it: a full queue is an error, and so is a reply that takes too long.
    let service = ClientService::new(client).timeout(Duration::from_secs(1));
    let mut division = ServiceBuilder::new().buffer(8).service(service.shed());

    println!("12 / 3 = {}", division.ready().await?.call((12, 3)).await?);
    let error = division.ready().await?.call((1, 0)).await.unwrap_err();
    match error.downcast_ref::<RequestError<(), Refused>>() {
        Some(RequestError::App(Refused)) => println!("1 / 0: refused"),
        Some(error) => println!("1 / 0: {error}, executed: {}", error.executed()),
        None => println!("1 / 0: {error}"),
    }

    drop(division);
    loops.await?;
    Ok(())
}
