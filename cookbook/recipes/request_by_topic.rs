use std::{error::Error, num::ParseIntError, time::Duration};

use ump_router::{RequestError, Router, ServeOptions, TopicClient};
use ump_server::{service, thread};

struct Converter {
    factor: u32,
}

#[service(topic = "convert")]
impl Converter {
    fn convert(&self, amount: String) -> Result<u32, ParseIntError> {
        Ok(self.factor * amount.parse::<u32>()?)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let router = Router::new(); // its clones share the topics

    // The server, in one place of the program.
    let (client, _) = thread::Builder::new().capacity(64).serve(Converter { factor: 8 })?;
    let claim = router.serve_messages_by("gallons", client, ServeOptions::new())?;

    // A caller, in another.
    let gallons = ConverterTopic(TopicClient::new(&router, "gallons")?);
    assert_eq!(gallons.convert("2".into()).timeout(Duration::from_secs(5)).await?, 16);
    let refused = gallons.convert("two".into()).await;
    assert!(refused.is_err_and(|error| error.into_apperr().is_some()));

    drop(claim);
    let vacant = gallons.convert("2".into()).await;
    assert!(matches!(vacant, Err(RequestError::NoServer(_)))); // with the message
    Ok(())
}
