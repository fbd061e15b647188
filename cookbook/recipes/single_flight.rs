use std::{collections::HashMap, error::Error};

use tokio::runtime::Handle;
use ump_server::{WeakClient, service, thread};

struct Rates {
    waiting: HashMap<String, Vec<service::ReplyLater<Self, usize>>>,
    client: WeakClient<RatesRequest, RatesReply, RatesRefusal>,
    runtime: Handle,
}

#[service]
impl Rates {
    fn fetch(&mut self, key: String, reply: service::ReplyTo<'_, Self, usize>) {
        let waiting = self.waiting.entry(key.clone()).or_default();
        waiting.push(reply.detach());
        if waiting.len() == 1 {
            let client = self.client.clone();
            self.runtime.spawn(async move {
                let name = key.clone(); // in place of `len`, a call over the network
                let rate = tokio::spawn(async move { name.len() }).await.ok(); // a panic: `None`
                let Some(client) = client.upgrade() else { return }; // nobody is left
                let _ = RatesClient(client).fetched(key, rate).await;
            });
        }
    }

    #[post]
    fn fetched(&mut self, key: String, rate: Option<usize>) {
        for caller in self.waiting.remove(&key).unwrap_or_default() {
            rate.map(|rate| caller.reply(rate)); // otherwise dropped: `NoReply`
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Handle::current();
    let (client, _) = thread::Builder::new()
        .spawn(|client| Ok(Rates { waiting: HashMap::new(), client: client.weak(), runtime }))?;
    let rates = RatesClient(client);
    let (one, other) = tokio::join!(rates.fetch("eur".into()), rates.fetch("eur".into()));
    assert_eq!((one?, other?), (3, 3));
    Ok(())
}
