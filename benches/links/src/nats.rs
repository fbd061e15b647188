//! The program `nats-server` with the crate `async-nats`, over TCP.

use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::{
    children::{self, Process, Skipped, free_port},
    peer::{Caller, Failed, Heard, Kind, Peer, Publisher},
};

const SUBJECT: &str = "bench.echo";

pub(crate) struct Nats;

async fn connect(address: &str) -> Result<Client, Failed> {
    let options = ConnectOptions::new();
    Ok(options.connect(format!("nats://{address}")).await?)
}

impl Caller for Client {
    async fn request(&self, payload: &Bytes) -> Result<Bytes, Failed> {
        Ok(Self::request(self, SUBJECT, payload.clone()).await?.payload)
    }
}

impl Publisher for Client {
    async fn publish(&self, payload: &Bytes, times: u64) -> Result<(), Failed> {
        for _ in 0..times {
            Self::publish(self, SUBJECT, payload.clone()).await?;
        }
        Ok(self.flush().await?)
    }
}

impl Peer for Nats {
    const NAME: &str = "nats-server";
    type Caller = Client;
    type Publisher = Client;

    fn bus(kind: Kind, serves: bool) -> Result<Process, Skipped> {
        if serves || kind == Kind::Unix {
            return Err(Skipped(
                "it has only TCP, and no servers of its own".to_owned(),
            ));
        }
        let port = free_port();
        let number = port.to_string();
        Process::program(
            "nats-server",
            &["-a", "127.0.0.1", "-p", &number],
            port,
            None,
        )
    }

    async fn be_bus(_: &str, _: bool) -> Result<(), Failed> {
        Err("it is a program".into())
    }

    async fn serve(address: &str) -> Result<(), Failed> {
        let client = connect(address).await?;
        let mut requests = client.subscribe(SUBJECT).await?;
        client.flush().await?;
        children::ready(address);
        while let Some(request) = requests.next().await {
            if let Some(reply) = request.reply {
                client.publish(reply, request.payload).await?;
            }
        }
        Err("the connection is lost".into())
    }

    async fn subscribe(address: &str, count: usize, heard: Heard) -> Result<(), Failed> {
        for _ in 0..count {
            let client = connect(address).await?;
            let mut subscription = client.subscribe(SUBJECT).await?;
            client.flush().await?;
            let heard = heard.clone();
            tokio::spawn(async move {
                let _client = client;
                while subscription.next().await.is_some() {
                    heard.add(1);
                }
            });
        }
        children::ready(address);
        std::future::pending().await
    }

    async fn caller(address: &str) -> Result<Client, Failed> {
        connect(address).await
    }

    async fn publisher(address: &str) -> Result<Client, Failed> {
        connect(address).await
    }
}
