//! The loops of the published `ump-server` 0.4.

use std::{ops::ControlFlow, thread};

use tokio::task;
use ump_server_published::{
    Client, ReplyContext, async_trait, task::Handler as TaskHandler,
    thread::Handler as ThreadHandler,
};

use super::{AsyncClient, AsyncServer, BlockingClient, BlockingServer, Contender, Role, Shape};
use crate::message::Message;

pub(crate) struct PublishedServer;

impl<M: Message> Contender<M> for PublishedServer {
    const ROLE: Role = Role::Peer;
    type Client = Client<M, M, ()>;

    fn name() -> String {
        "ump-server-0.4".into()
    }
}

impl<M: Message> BlockingClient<M> for PublishedServer {
    fn ask(client: &mut Self::Client, message: M) -> M {
        client.req(message).expect("a reply")
    }
}

impl<M: Message> AsyncClient<M> for PublishedServer {
    async fn ask_async(client: &mut Self::Client, message: M) -> M {
        client.areq(message).await.expect("a reply")
    }
}

struct Answer;

impl<M: Message> ThreadHandler<M, M, (), ()> for Answer {
    fn proc_req(&mut self, message: M, context: ReplyContext<M, ()>) -> ControlFlow<(), ()> {
        let _ = context.reply(message.answer());
        ControlFlow::Continue(())
    }
}

#[async_trait]
impl<M: Message> TaskHandler<M, M, (), ()> for Answer {
    async fn proc_req(&mut self, message: M, context: ReplyContext<M, ()>) -> ControlFlow<(), ()> {
        let _ = context.reply(message.answer());
        ControlFlow::Continue(())
    }
}

impl<M: Message> BlockingServer<M> for PublishedServer {
    fn start(_shape: Shape) -> (Self::Client, thread::JoinHandle<()>) {
        let (client, ended) =
            ump_server_published::thread::spawn(|_| Ok(Answer)).expect("a handler");
        let joined = thread::spawn(move || {
            ended.join().expect("it ends in order");
        });
        (client, joined)
    }
}

impl<M: Message> AsyncServer<M> for PublishedServer {
    async fn start_async(_shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let (client, ended) = ump_server_published::task::spawn(|_| Ok(Answer)).expect("a handler");
        let joined = tokio::spawn(async move {
            ended.await.expect("it ends in order");
        });
        (client, joined)
    }
}
