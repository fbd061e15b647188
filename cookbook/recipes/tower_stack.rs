use std::{error::Error, time::Duration};

use tower::{Service, ServiceBuilder, ServiceExt};
use ump::{Refused, RequestError};
use ump_server::thread;
use ump_tower::ClientService;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (client, handle) = thread::Builder::new()
        .capacity(64)
        .serve(thread::answer(|(a, b): (u32, u32)| a.checked_div(b).ok_or(Refused)))?;

    let mut division = ServiceBuilder::new()
        .concurrency_limit(8)
        .rate_limit(100, Duration::from_secs(1))
        .service(ClientService::new(client).timeout(Duration::from_secs(5)));

    assert_eq!(division.ready().await?.call((12, 3)).await?, 4);
    let refused = division.ready().await?.call((1, 0)).await;
    assert_eq!(refused, Err(RequestError::App(Refused)));

    drop(division); // the last client
    handle.await?;
    Ok(())
}
