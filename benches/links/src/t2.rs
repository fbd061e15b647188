//! The published crate `t2_bus`, used as in its examples.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use t2_bus::prelude::*;

use crate::{
    children::{self, Process, Skipped},
    peer::{Caller, Failed, Heard, Kind, Peer, Publisher, TOPIC, own_bus},
    routers::Payload,
};

impl PublishProtocol for Payload {
    fn prefix() -> &'static str {
        "payload"
    }
}

impl RequestProtocol for Payload {
    type Rsp = Payload;

    fn prefix() -> &'static str {
        "ask"
    }
}

pub(crate) struct T2;

async fn connect(address: &str) -> Result<Client, Failed> {
    let connector = match address.split_once(':') {
        Some(("unix", path)) => Connector::new_unix(path.into()),
        Some((_, bare)) => Connector::new_tcp(bare.to_owned()),
        None => return Err("an address has a kind".into()),
    };
    connector.connect().await.map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` has it")]
fn failed(error: BusError) -> Failed {
    format!("{error:?}").into()
}

async fn answer(client: Client) -> Result<(), Failed> {
    let mut requests = client.serve::<Payload>(TOPIC).await.map_err(failed)?;
    tokio::spawn(async move {
        while let Some((_, id, payload)) = requests.recv().await {
            if client.respond::<Payload>(id, &payload).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

#[derive(Clone)]
pub(crate) struct Asks(Arc<Client>);

impl Caller for Asks {
    async fn request(&self, payload: &Bytes) -> Result<Bytes, Failed> {
        let payload = Payload(payload.to_vec());
        let asked = self.0.request(TOPIC, &payload).await;
        let Payload(reply) = asked.map_err(failed)?;
        Ok(reply.into())
    }
}

impl Publisher for Asks {
    /// Each publication waits until the bus has it, so they wait at once.
    async fn publish(&self, payload: &Bytes, times: u64) -> Result<(), Failed> {
        let payload = Payload(payload.to_vec());
        let all = (0..times).map(|_| self.0.publish(TOPIC, &payload));
        try_join_all(all).await.map_err(failed)?;
        Ok(())
    }
}

impl Peer for T2 {
    const NAME: &str = "t2_bus";
    type Caller = Asks;
    type Publisher = Asks;

    fn bus(kind: Kind, serves: bool) -> Result<Process, Skipped> {
        own_bus::<Self>(kind, serves)
    }

    async fn be_bus(address: &str, serves: bool) -> Result<(), Failed> {
        let builder = ServerBuilder::new().serve_memory();
        let builder = match address.split_once(':') {
            Some(("unix", path)) => builder.serve_unix_socket(path.into()),
            Some((_, bare)) => builder.serve_tcp(bare.parse()?),
            None => return Err("an address has a kind".into()),
        };
        let (_stopper, memory) = builder.build().await.map_err(failed)?;
        if serves {
            let memory = memory.ok_or("it is in memory too")?;
            answer(memory.connect().await.map_err(failed)?).await?;
        }
        children::ready(address);
        std::future::pending().await
    }

    async fn serve(address: &str) -> Result<(), Failed> {
        answer(connect(address).await?).await?;
        children::ready(address);
        std::future::pending().await
    }

    async fn subscribe(address: &str, count: usize, heard: Heard) -> Result<(), Failed> {
        for _ in 0..count {
            let client = connect(address).await?;
            let subscription = client.subscribe::<Payload>(TOPIC).await;
            let mut subscription = subscription.map_err(failed)?;
            let heard = heard.clone();
            tokio::spawn(async move {
                let _client = client;
                while subscription.recv().await.is_some() {
                    heard.add(1);
                }
            });
        }
        children::ready(address);
        std::future::pending().await
    }

    async fn caller(address: &str) -> Result<Asks, Failed> {
        Ok(Asks(connect(address).await?.into()))
    }

    async fn publisher(address: &str) -> Result<Asks, Failed> {
        Self::caller(address).await
    }
}
