//! The loops of this family.

use std::thread;

use tokio::task;
use ump_server::Client;

use super::{AsyncClient, AsyncServer, BlockingClient, BlockingServer, Contender, Role, Shape};
use crate::message::Message;

pub(crate) struct UmpServer;

impl<M: Message> Contender<M> for UmpServer {
    const ROLE: Role = Role::Peer;
    type Client = Client<M, M, ()>;

    fn name() -> String {
        "ump-server".into()
    }
}

impl<M: Message> BlockingClient<M> for UmpServer {
    fn ask(client: &mut Self::Client, message: M) -> M {
        client.req(message).expect("a reply")
    }
}

impl<M: Message> AsyncClient<M> for UmpServer {
    async fn ask_async(client: &mut Self::Client, message: M) -> M {
        client.areq(message).await.expect("a reply")
    }
}

impl<M: Message> BlockingServer<M> for UmpServer {
    fn start(_shape: Shape) -> (Self::Client, thread::JoinHandle<()>) {
        let answer = ump_server::thread::answer(|message: M| Ok(message.answer()));
        let (client, ended) = ump_server::thread::spawn(|_| Ok(answer)).expect("a thread");
        let joined = thread::spawn(move || {
            ended.join().expect("it ends in order");
        });
        (client, joined)
    }
}

impl<M: Message> AsyncServer<M> for UmpServer {
    async fn start_async(_shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let answer = ump_server::task::answer(async |message: M| Ok(message.answer()));
        let (client, ended) = ump_server::task::spawn(|_| Ok(answer)).expect("a runtime");
        let joined = tokio::spawn(async move {
            ended.await.expect("it ends in order");
        });
        (client, joined)
    }
}
