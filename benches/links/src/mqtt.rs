//! The program `mosquitto` with the crate `rumqttc`, over TCP. A request is a message with the
//! number of the caller in its topic, and its reply another one: their order is that of requests.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use tokio::sync::oneshot;

use crate::{
    children::{self, Process, Skipped, free_port, temporary},
    peer::{Caller, Failed, Heard, Kind, Peer, Publisher},
};

const REQUESTS: &str = "ask";
const REPLIES: &str = "answer";
const MESSAGES: &str = "bench/echo";
/// How many packets of a client wait for its task.
const ROOM: usize = 1024;

pub(crate) struct Mqtt;

/// Returns a client that is connected, with its name.
async fn connect(address: &str) -> Result<(AsyncClient, EventLoop, String), Failed> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let name = format!("{}-{number}", std::process::id());
    let (host, port) = address.split_once(':').ok_or("an address has a port")?;
    let mut options = MqttOptions::new(&name, host, port.parse()?);
    options.set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut events) = AsyncClient::new(options, ROOM);
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
    Ok((client, events, name))
}

/// Subscribes, and waits until that is confirmed.
async fn subscribe(
    client: &AsyncClient,
    events: &mut EventLoop,
    topic: String,
) -> Result<(), Failed> {
    client.subscribe(topic, QoS::AtMostOnce).await?;
    while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
    Ok(())
}

async fn publish(client: &AsyncClient, topic: &str, payload: Bytes) -> Result<(), Failed> {
    let sent = client.publish_bytes(topic, QoS::AtMostOnce, false, payload);
    Ok(sent.await?)
}

type Waiting = Arc<Mutex<VecDeque<oneshot::Sender<Bytes>>>>;

#[derive(Clone)]
pub(crate) struct Asks {
    client: AsyncClient,
    topic: Arc<str>,
    waiting: Waiting,
    /// Held while a request is queued, so that the order of replies is that of `waiting`.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Caller for Asks {
    async fn request(&self, payload: &Bytes) -> Result<Bytes, Failed> {
        let (sender, receiver) = oneshot::channel();
        let turn = self.turn.lock().await;
        self.waiting.lock().expect("no panic").push_back(sender);
        publish(&self.client, &self.topic, payload.clone()).await?;
        drop(turn);
        Ok(receiver.await?)
    }
}

impl Publisher for AsyncClient {
    async fn publish(&self, payload: &Bytes, times: u64) -> Result<(), Failed> {
        for _ in 0..times {
            publish(self, MESSAGES, payload.clone()).await?;
        }
        Ok(())
    }
}

impl Peer for Mqtt {
    const NAME: &str = "mosquitto";
    type Caller = Asks;
    type Publisher = AsyncClient;

    fn bus(kind: Kind, serves: bool) -> Result<Process, Skipped> {
        if serves || kind == Kind::Unix {
            return Err(Skipped(
                "its client has only TCP, and it has no servers of its own".to_owned(),
            ));
        }
        let (port, file) = (free_port(), temporary("conf"));
        let settings = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\nlog_dest none\n"
        );
        std::fs::write(&file, settings).map_err(|error| Skipped(error.to_string()))?;
        let path = file.display().to_string();
        Process::program("mosquitto", &["-c", &path], port, Some(file))
    }

    async fn be_bus(_: &str, _: bool) -> Result<(), Failed> {
        Err("it is a program".into())
    }

    async fn serve(address: &str) -> Result<(), Failed> {
        let (client, mut events, _) = connect(address).await?;
        subscribe(&client, &mut events, format!("{REQUESTS}/+")).await?;
        children::ready(address);
        let (sender, mut requests) = tokio::sync::mpsc::unbounded_channel::<rumqttc::Publish>();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let caller = request.topic.strip_prefix(REQUESTS).unwrap_or_default();
                let topic = format!("{REPLIES}{caller}");
                if publish(&client, &topic, request.payload).await.is_err() {
                    return;
                }
            }
        });
        loop {
            if let Event::Incoming(Packet::Publish(request)) = events.poll().await? {
                sender.send(request)?;
            }
        }
    }

    async fn subscribe(address: &str, count: usize, heard: Heard) -> Result<(), Failed> {
        for _ in 0..count {
            let (client, mut events, _) = connect(address).await?;
            subscribe(&client, &mut events, MESSAGES.to_owned()).await?;
            let heard = heard.clone();
            tokio::spawn(async move {
                let _client = client;
                while let Ok(event) = events.poll().await {
                    if let Event::Incoming(Packet::Publish(_)) = event {
                        heard.add(1);
                    }
                }
            });
        }
        children::ready(address);
        std::future::pending().await
    }

    async fn caller(address: &str) -> Result<Asks, Failed> {
        let (client, mut events, name) = connect(address).await?;
        subscribe(&client, &mut events, format!("{REPLIES}/{name}")).await?;
        let waiting = Waiting::default();
        let replies = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(Packet::Publish(reply)) = event {
                    let next = replies.lock().expect("no panic").pop_front();
                    let _ = next.map(|next| next.send(reply.payload));
                }
            }
        });
        let topic = format!("{REQUESTS}/{name}").into();
        Ok(Asks {
            client,
            topic,
            waiting,
            turn: Arc::default(),
        })
    }

    async fn publisher(address: &str) -> Result<AsyncClient, Failed> {
        let (client, mut events, _) = connect(address).await?;
        tokio::spawn(async move { while events.poll().await.is_ok() {} });
        Ok(client)
    }
}
