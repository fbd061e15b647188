//! The published `ump` 0.13.

use std::thread;

use tokio::task;
use ump_published::{Client, ReplyContext, Server, WaitReply};

use super::{
    AsyncClient, AsyncPipeline, AsyncServer, BlockingClient, BlockingPipeline, BlockingServer,
    Contender, Pipeline, Role, Shape,
};
use crate::message::Message;

pub(crate) struct Published;

impl<M: Message> Contender<M> for Published {
    const ROLE: Role = Role::Published;
    type Client = Client<M, M, ()>;

    fn name() -> String {
        "ump-0.13".into()
    }
}

impl<M: Message> BlockingClient<M> for Published {
    fn ask(client: &mut Self::Client, message: M) -> M {
        client.req(message).expect("a reply")
    }
}

impl<M: Message> AsyncClient<M> for Published {
    async fn ask_async(client: &mut Self::Client, message: M) -> M {
        client.areq(message).await.expect("a reply")
    }
}

impl<M: Message> Pipeline<M> for Published {
    type Pending = WaitReply<M, ()>;

    fn submit(client: &mut Self::Client, message: M) -> Self::Pending {
        client.req_async(message).expect("the server is there")
    }
}

impl<M: Message> BlockingPipeline<M> for Published {
    fn wait(_client: &mut Self::Client, pending: Self::Pending) -> M {
        pending.wait().expect("a reply")
    }
}

impl<M: Message> AsyncPipeline<M> for Published {
    async fn wait_async(_client: &mut Self::Client, pending: Self::Pending) -> M {
        pending.wait_async().await.expect("a reply")
    }
}

/// It cannot take many at a time.
impl<M: Message> BlockingServer<M> for Published {
    fn start(_shape: Shape) -> (Self::Client, thread::JoinHandle<()>) {
        let (server, client) = ump_published::channel();
        let server = thread::spawn(move || {
            while let Ok(job) = server.wait() {
                answer(job);
            }
        });
        (client, server)
    }
}

impl<M: Message> AsyncServer<M> for Published {
    async fn start_async(_shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let (server, client) = ump_published::channel();
        (client, tokio::spawn(serve(server)))
    }
}

async fn serve<M: Message>(server: Server<M, M, ()>) {
    while let Ok(job) = server.async_wait().await {
        answer(job);
    }
}

fn answer<M: Message>((message, context): (M, ReplyContext<M, ()>)) {
    let _ = context.reply(message.answer());
}
