use std::{error::Error, num::ParseIntError, time::Duration};

use ump_router::{Call, RequestError, RequestMessage, Router, ServeOptions};
use ump_server::thread;

struct Convert(&'static str);

impl RequestMessage for Convert {
    type Reply = u32;
    type Error = ParseIntError;
    const PREFIX: &str = "convert";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let router = Router::new(); // its clones share the topics

    // The server, in one place of the program.
    let handler = thread::answer(|call: Call<Convert>| call.message.0.parse().map(|n: u32| n * 3));
    let (client, _) = thread::Builder::new().capacity(64).serve(handler)?;
    let claim = router.serve_by("gallons", client, ServeOptions::new())?;

    // A caller, in another.
    let request = router.request("gallons", Convert("2")).timeout(Duration::from_secs(5));
    assert_eq!(request.await?, 6);
    let refused = router.request("gallons", Convert("two")).await;
    assert!(refused.is_err_and(|error| error.into_apperr().is_some()));

    drop(claim);
    let vacant = router.request("gallons", Convert("2")).await;
    assert!(matches!(vacant, Err(RequestError::NoServer(Convert("2")))));
    Ok(())
}
