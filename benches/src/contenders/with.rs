//! A service built from channels: a queue of requests, each with a sender for its reply.

use std::{marker::PhantomData, thread};

use tokio::task;

use super::{
    AsyncClient, AsyncPipeline, AsyncServer, BlockingClient, BlockingPipeline, BlockingServer,
    Contender, Pipeline, Shape,
    queue::{AsyncQueue, BlockingQueue, Queue},
    replies::{AsyncReplies, BlockingReplies, Oneshot, Replies},
};
use crate::message::Message;

/// Requests through `Q`, replies through `R`.
pub(crate) struct With<Q, R = Oneshot>(PhantomData<(Q, R)>);

type Job<R, M> = (M, <R as Replies>::Sender<M>);

pub(crate) struct Client<Q: Queue, R: Replies, M: Message> {
    requests: Q::Sender<Job<R, M>>,
    home: R::Home<M>,
}

impl<Q: Queue, R: Replies, M: Message> Clone for Client<Q, R, M> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            home: self.home.clone(),
        }
    }
}

fn open<Q: Queue, R: Replies, M: Message>(
    shape: Shape,
) -> (Client<Q, R, M>, Q::Receiver<Job<R, M>>) {
    // Some are slow when their queue is nearly full.
    let (requests, jobs) = Q::open((shape.clients * shape.depth).max(16));
    let home = R::home(shape.depth.max(16));
    (Client { requests, home }, jobs)
}

fn answer<R: Replies, M: Message>((message, reply): Job<R, M>) {
    R::send(reply, message.answer());
}

impl<Q: Queue, R: Replies, M: Message> Contender<M> for With<Q, R> {
    type Client = Client<Q, R, M>;

    fn name() -> String {
        [Q::NAME, R::SUFFIX].concat()
    }
}

impl<Q: Queue, R: Replies, M: Message> Pipeline<M> for With<Q, R> {
    type Pending = R::Pending<M>;

    fn submit(client: &mut Self::Client, message: M) -> Self::Pending {
        let (reply, pending) = R::expect(&client.home);
        Q::send(&client.requests, (message, reply));
        pending
    }
}

impl<Q: Queue, R: BlockingReplies, M: Message> BlockingPipeline<M> for With<Q, R> {
    fn wait(client: &mut Self::Client, pending: Self::Pending) -> M {
        R::wait(&mut client.home, pending)
    }
}

impl<Q: Queue, R: AsyncReplies, M: Message> AsyncPipeline<M> for With<Q, R> {
    fn wait_async(
        client: &mut Self::Client,
        pending: Self::Pending,
    ) -> impl Future<Output = M> + Send {
        R::wait_async(&mut client.home, pending)
    }
}

impl<Q: Queue, R: BlockingReplies, M: Message> BlockingClient<M> for With<Q, R> {
    fn ask(client: &mut Self::Client, message: M) -> M {
        let pending = Self::submit(client, message);
        R::wait(&mut client.home, pending)
    }
}

impl<Q: Queue, R: AsyncReplies, M: Message> AsyncClient<M> for With<Q, R> {
    fn ask_async(client: &mut Self::Client, message: M) -> impl Future<Output = M> + Send {
        let pending = Self::submit(client, message);
        R::wait_async(&mut client.home, pending)
    }
}

impl<Q: BlockingQueue, R: Replies, M: Message> BlockingServer<M> for With<Q, R> {
    fn start(shape: Shape) -> (Self::Client, thread::JoinHandle<()>) {
        let (client, mut jobs) = open::<Q, R, M>(shape);
        let server = thread::spawn(move || {
            if shape.depth == 1 {
                while let Some(job) = Q::receive(&mut jobs) {
                    answer::<R, M>(job);
                }
                return;
            }
            let mut batch = Vec::new();
            loop {
                Q::receive_many(&mut jobs, &mut batch);
                if batch.is_empty() {
                    break;
                }
                batch.drain(..).for_each(answer::<R, M>);
            }
        });
        (client, server)
    }
}

impl<Q: AsyncQueue, R: Replies, M: Message> AsyncServer<M> for With<Q, R> {
    async fn start_async(shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let (client, mut jobs) = open::<Q, R, M>(shape);
        let server = tokio::spawn(async move {
            if shape.depth == 1 {
                while let Some(job) = Q::receive_async(&mut jobs).await {
                    answer::<R, M>(job);
                }
                return;
            }
            let mut batch = Vec::new();
            loop {
                Q::receive_many_async(&mut jobs, &mut batch).await;
                if batch.is_empty() {
                    break;
                }
                batch.drain(..).for_each(answer::<R, M>);
            }
        });
        (client, server)
    }
}
