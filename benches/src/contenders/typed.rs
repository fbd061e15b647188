//! Typed messages over the channel, and typed methods over the loop.

use std::{convert::Infallible, future::ready, marker::PhantomData, thread};

use tokio::task;
use ump::{Ask, Client, ReplyContext};

use super::{AsyncClient, AsyncServer, BlockingClient, BlockingServer, Contender, Role, Shape};
use crate::message::Message;

/// The bare channel with a message that names its reply.
pub(crate) struct Typed;

/// The message of a request, which is one of several.
pub(crate) struct Echo<M>(M);

#[expect(dead_code, reason = "a server of one message would need no enum")]
pub(crate) enum Request<M> {
    Echo(Echo<M>),
    Len,
}

#[expect(dead_code, reason = "a server of one message would need no enum")]
pub(crate) enum Reply<M> {
    Echo(M),
    Len(usize),
}

impl<M> Ask<Request<M>, Reply<M>, ()> for Echo<M> {
    type Reply = M;
    type Error = Infallible;

    fn into_request(self) -> Request<M> {
        Request::Echo(self)
    }

    fn from_request(request: Request<M>) -> Self {
        match request {
            Request::Echo(echo) => echo,
            Request::Len => unreachable!("`into_request` made it"),
        }
    }

    fn from_answer(answer: Result<Reply<M>, ()>) -> Option<Result<M, Infallible>> {
        match answer {
            Ok(Reply::Echo(reply)) => Some(Ok(reply)),
            _ => None,
        }
    }
}

impl<M: Message> Contender<M> for Typed {
    const ROLE: Role = Role::Peer;
    type Client = Client<Request<M>, Reply<M>, ()>;

    fn name() -> String {
        "ump typed".into()
    }
}

impl<M: Message> BlockingClient<M> for Typed {
    fn ask(client: &mut Self::Client, message: M) -> M {
        client.ask(Echo(message)).wait().expect("a reply")
    }
}

impl<M: Message> AsyncClient<M> for Typed {
    async fn ask_async(client: &mut Self::Client, message: M) -> M {
        client.ask(Echo(message)).await.expect("a reply")
    }
}

impl<M: Message> BlockingServer<M> for Typed {
    fn start(_shape: Shape) -> (Self::Client, thread::JoinHandle<()>) {
        let (server, client) = ump::channel();
        let server = thread::spawn(move || server.iter().for_each(answer));
        (client, server)
    }
}

impl<M: Message> AsyncServer<M> for Typed {
    async fn start_async(_shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let (server, client) = ump::channel();
        let serve = async move {
            while let Ok(job) = server.async_wait().await {
                answer(job);
            }
        };
        (client, tokio::spawn(serve))
    }
}

fn answer<M: Message>((request, context): (Request<M>, ReplyContext<Reply<M>, ()>)) {
    let _ = context.reply(match request {
        Request::Echo(Echo(message)) => Reply::Echo(message.answer()),
        Request::Len => Reply::Len(0),
    });
}

/// A loop on a thread whose handler and client the macro writes.
pub(crate) struct Service;

pub(crate) struct OnThread<M>(PhantomData<M>);

#[ump_server::service]
impl<M: Message> OnThread<M> {
    pub(crate) fn echo(&self, message: M) -> M {
        message.answer()
    }

    pub(crate) fn len(&self) -> usize {
        0
    }
}

impl<M: Message> Contender<M> for Service {
    const ROLE: Role = Role::Peer;
    type Client = OnThreadClient<M>;

    fn name() -> String {
        "service".into()
    }
}

impl<M: Message> BlockingClient<M> for Service {
    fn ask(client: &mut Self::Client, message: M) -> M {
        client.echo(message).wait().expect("a reply")
    }
}

impl<M: Message> BlockingServer<M> for Service {
    fn start(_shape: Shape) -> (Self::Client, thread::JoinHandle<()>) {
        let (client, ended) = ump_server::thread::serve(OnThread(PhantomData));
        let joined = thread::spawn(move || {
            ended.join().expect("it ends in order");
        });
        (OnThreadClient(client), joined)
    }
}

/// A loop on a task whose handler and client the macro writes.
pub(crate) struct AsyncService;

pub(crate) struct OnTask<M>(PhantomData<M>);

#[ump_server::service]
impl<M: Message> OnTask<M> {
    pub(crate) async fn echo(&mut self, message: M) -> M {
        ready(message.answer()).await
    }

    pub(crate) fn len(&self) -> usize {
        0
    }
}

impl<M: Message> Contender<M> for AsyncService {
    const ROLE: Role = Role::Peer;
    type Client = OnTaskClient<M>;

    fn name() -> String {
        "service".into()
    }
}

impl<M: Message> AsyncClient<M> for AsyncService {
    async fn ask_async(client: &mut Self::Client, message: M) -> M {
        client.echo(message).await.expect("a reply")
    }
}

impl<M: Message> AsyncServer<M> for AsyncService {
    async fn start_async(_shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let (client, ended) = ump_server::task::serve(OnTask(PhantomData));
        let joined = tokio::spawn(async move {
            ended.await.expect("it ends in order");
        });
        (OnTaskClient(client), joined)
    }
}
