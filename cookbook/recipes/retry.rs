use std::{
    error::Error,
    time::{Duration, Instant},
};

use ump::{Client, Refused, RequestError};
use ump_server::thread;

type Replica = Client<String, usize, Refused>;

/// Asks one replica after the other, until one has answered or the deadline has passed.
async fn ask(
    replicas: &[Replica],
    mut text: String,
    deadline: Instant,
) -> Result<usize, RequestError<(), Refused>> {
    let mut pause = Duration::from_millis(1);
    for replica in replicas.iter().cycle() {
        let error = match replica.request(text).deadline(deadline).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        match error.split() {
            // The message is back, so the request was not executed, and never will be.
            (Some(back), _) if Instant::now() + pause < deadline => text = back,
            (_, error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Err(RequestError::ServerDisappeared(())) // there are no replicas
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (server, gone) = ump::channel();
    drop(server);
    let (healthy, _) = thread::serve(thread::answer(|text: String| Ok(text.len())));
    let deadline = Instant::now() + Duration::from_secs(5);
    assert_eq!(ask(&[gone, healthy], "four".into(), deadline).await?, 4);
    Ok(())
}
