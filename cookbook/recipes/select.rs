use std::{convert::Infallible, error::Error};

use futures_util::StreamExt;
use tokio::{select, sync::mpsc};
use ump::Server;

/// Answers with the latest reading, in units of the caller. Returns it when no client is left.
async fn serve(server: Server<u32, u32, Infallible>, mut readings: mpsc::Receiver<u32>) -> u32 {
    let mut requests = server.stream();
    let mut latest = 0;
    loop {
        select! {
            biased; // the latest reading is in before a request is answered
            Some(reading) = readings.recv() => latest = reading,
            request = requests.next() => match request {
                Some((unit, caller)) => drop(caller.reply(latest / unit)),
                None => return latest,
            },
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (server, client) = ump::channel();
    let (sensor, readings) = mpsc::channel(8);
    let serving = tokio::spawn(serve(server, readings));

    sensor.send(70).await?;
    assert_eq!(client.areq(10).await?, 7);
    drop(sensor); // the readings end, the requests go on
    assert_eq!(client.areq(7).await?, 10);
    drop(client);
    assert_eq!(serving.await?, 70);
    Ok(())
}
