//! This crate.

use std::thread;

use tokio::task;
use ump::{Client, ReplyContext, Server, WaitReply};

use super::{
    AsyncClient, AsyncPipeline, AsyncServer, BlockingClient, BlockingPipeline, BlockingServer,
    Contender, Pipeline, Role, Shape,
};
use crate::message::Message;

pub(crate) struct Ump;

impl<M: Message> Contender<M> for Ump {
    const ROLE: Role = Role::Ump;
    type Client = Client<M, M, ()>;

    fn name() -> String {
        "ump".into()
    }
}

impl<M: Message> BlockingClient<M> for Ump {
    fn ask(client: &mut Self::Client, message: M) -> M {
        client.req(message).expect("a reply")
    }
}

impl<M: Message> AsyncClient<M> for Ump {
    async fn ask_async(client: &mut Self::Client, message: M) -> M {
        client.areq(message).await.expect("a reply")
    }
}

impl<M: Message> Pipeline<M> for Ump {
    type Pending = WaitReply<M, ()>;

    fn submit(client: &mut Self::Client, message: M) -> Self::Pending {
        client.req_async(message).expect("the server is there")
    }
}

impl<M: Message> BlockingPipeline<M> for Ump {
    fn wait(_client: &mut Self::Client, pending: Self::Pending) -> M {
        pending.wait().expect("a reply")
    }
}

impl<M: Message> AsyncPipeline<M> for Ump {
    async fn wait_async(_client: &mut Self::Client, pending: Self::Pending) -> M {
        pending.await.expect("a reply")
    }
}

impl<M: Message> BlockingServer<M> for Ump {
    fn start(shape: Shape) -> (Self::Client, thread::JoinHandle<()>) {
        let (server, client) = ump::channel();
        let server = thread::spawn(move || {
            if shape.depth == 1 {
                return server.iter().for_each(answer);
            }
            let mut batch = Vec::new();
            while server.wait_many(&mut batch, usize::MAX).is_ok() {
                batch.drain(..).for_each(answer);
            }
        });
        (client, server)
    }
}

impl<M: Message> AsyncServer<M> for Ump {
    async fn start_async(shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let (server, client) = ump::channel();
        (client, tokio::spawn(serve(server, shape)))
    }
}

async fn serve<M: Message>(server: Server<M, M, ()>, shape: Shape) {
    if shape.depth == 1 {
        while let Ok(job) = server.async_wait().await {
            answer(job);
        }
        return;
    }
    let mut batch = Vec::new();
    while server.async_wait_many(&mut batch, usize::MAX).await.is_ok() {
        batch.drain(..).for_each(answer);
    }
}

fn answer<M: Message>((message, context): (M, ReplyContext<M, ()>)) {
    let _ = context.reply(message.answer());
}
