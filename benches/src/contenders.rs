//! The contenders, and what each can do.
//!
//! A contender has a client and a server. The threads and tasks are in `topologies`, once for all
//! contenders.

pub(crate) mod actix;
pub(crate) mod async_channel;
pub(crate) mod crossbeam;
pub(crate) mod crossfire;
pub(crate) mod floors;
pub(crate) mod flume;
pub(crate) mod kameo;
pub(crate) mod kanal;
pub(crate) mod published;
pub(crate) mod published_server;
pub(crate) mod queue;
pub(crate) mod ractor;
pub(crate) mod replies;
pub(crate) mod std_mpsc;
pub(crate) mod tokio_mpsc;
pub(crate) mod typed;
pub(crate) mod ump;
pub(crate) mod ump_server;
pub(crate) mod with;
pub(crate) mod xtra;

use std::thread;

use serde::{Deserialize, Serialize};
use tokio::task;

/// The role of a contender in the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// A floor, which no channel can beat.
    Floor,
    /// This crate.
    Ump,
    /// The published crate.
    Published,
    Peer,
}

/// A contender for messages `M`. Clients are cloned, one for each caller.
pub(crate) trait Contender<M>: 'static {
    const ROLE: Role = Role::Peer;
    type Client: Clone + Send + 'static;

    fn name() -> String;
}

pub(crate) trait BlockingClient<M>: Contender<M> {
    fn ask(client: &mut Self::Client, message: M) -> M;
}

pub(crate) trait AsyncClient<M>: Contender<M> {
    fn ask_async(client: &mut Self::Client, message: M) -> impl Future<Output = M> + Send;
}

/// A client that sends now and waits later. Nothing waits for room: queues are unbounded, or as
/// long as there may be requests.
pub(crate) trait Pipeline<M>: Contender<M> {
    type Pending: Send + 'static;

    fn submit(client: &mut Self::Client, message: M) -> Self::Pending;
}

pub(crate) trait BlockingPipeline<M>: Pipeline<M> {
    /// Sends requests, then waits for the replies in the order of the requests.
    fn wait(client: &mut Self::Client, pending: Self::Pending) -> M;
}

pub(crate) trait AsyncPipeline<M>: Pipeline<M> {
    /// Sends requests, then waits for the replies in the order of the requests.
    fn wait_async(
        client: &mut Self::Client,
        pending: Self::Pending,
    ) -> impl Future<Output = M> + Send;
}

/// The load of a case.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) channels: usize,
    /// The number of clients of each channel.
    pub(crate) clients: usize,
    /// The number of outstanding requests of a client. If more than one, the server takes all that
    /// are there at a time.
    pub(crate) depth: usize,
}

/// Serves from a thread of its own, until the last client is gone.
pub(crate) trait BlockingServer<M>: Contender<M> {
    fn start(shape: Shape) -> (Self::Client, thread::JoinHandle<()>);
}

/// Serves from a task of the current runtime, until the last client is gone.
pub(crate) trait AsyncServer<M>: Contender<M> {
    fn start_async(shape: Shape) -> impl Future<Output = (Self::Client, task::JoinHandle<()>)>;
}

pub(crate) type Tokio = with::With<tokio_mpsc::TokioMpsc, tokio_mpsc::TokioOneshot>;
pub(crate) type Flume = with::With<flume::Flume>;
pub(crate) type Kanal = with::With<kanal::Kanal>;
pub(crate) type KanalKept = with::With<kanal::Kanal, replies::Kept<kanal::Kanal>>;
pub(crate) type AsyncChannel = with::With<async_channel::AsyncChannel>;
pub(crate) type Crossbeam = with::With<crossbeam::Crossbeam>;
pub(crate) type CrossbeamKept =
    with::With<crossbeam::Crossbeam, replies::Kept<crossbeam::Crossbeam>>;
pub(crate) type Std = with::With<std_mpsc::StdMpsc>;
pub(crate) type StdKept = with::With<std_mpsc::StdMpsc, replies::Kept<std_mpsc::StdMpsc>>;
