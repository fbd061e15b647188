//! With ractor: a factory with one worker. A plain actor has a queue without a limit, which is lost
//! when the actor panics.

use std::{io, net::TcpListener, path::PathBuf, time::Duration};

use ractor::{
    Actor, ActorProcessingErr, RpcReplyPort,
    concurrency::oneshot,
    factory::{
        DiscardMode, DiscardSettings, Factory, FactoryArguments, FactoryRef, Job, Worker, WorkerId,
        queues::DefaultQueue, routing::QueuerRouting, worker_builder,
    },
};
use tokio::{
    task::block_in_place,
    time::{sleep, timeout},
};

use crate::{
    Config,
    http::{self, Operations},
    programs::failure::Failure,
    store::{self, Store},
};

type Reply<T> = RpcReplyPort<store::Result<T>>;

enum Query {
    Get(String, Reply<String>),
    Put(String, String, Reply<()>),
    PutSlowly(String, u16, Reply<()>),
    Crash(u16, Reply<()>),
}

/// Owns the store.
struct Owner;

impl Worker for Owner {
    type Key = ();
    type Message = Query;
    type Arguments = PathBuf;
    type State = Store;

    async fn pre_start(
        &self,
        _: WorkerId,
        _: &FactoryRef<(), Query>,
        path: PathBuf,
    ) -> Result<Store, ActorProcessingErr> {
        // If a new worker does not start, the factory ends.
        loop {
            match block_in_place(|| Store::open(&path)) {
                Ok(store) => return Ok(store),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn handle(
        &self,
        _: WorkerId,
        _: &FactoryRef<(), Query>,
        job: Job<(), Query>,
        store: &mut Store,
    ) -> Result<(), ActorProcessingErr> {
        block_in_place(|| match job.msg {
            Query::Get(key, reply) => answer(reply, || store.get(&key)),
            Query::Put(key, value, reply) => answer(reply, || store.put(&key, &value)),
            Query::PutSlowly(key, gate, reply) => answer(reply, || store.put_slowly(&key, gate)),
            Query::Crash(gate, reply) => answer(reply, || store.crash(gate)),
        });
        Ok(())
    }
}

/// Executes an operation, unless its caller has left.
fn answer<T>(reply: Reply<T>, operation: impl FnOnce() -> store::Result<T>) {
    if !reply.is_closed() {
        let _ = reply.send(operation());
    }
}

struct Client {
    factory: FactoryRef<(), Query>,
    deadline: Duration,
}

impl Client {
    async fn call<T>(&self, query: impl FnOnce(Reply<T>) -> Query) -> Result<T, Failure> {
        let (reply, answer) = oneshot();
        let (accept, accepted) = oneshot();
        let mut job = Job::new((), query(reply.into()));
        job.accepted = Some(accept.into());
        let dispatched = self.factory.dispatch_job(job);
        dispatched.map_err(|_| Failure::Gone)?;
        let ended = timeout(self.deadline, async {
            match accepted.await {
                Ok(Some(_refused)) => Err(Failure::Full),
                _ => match answer.await {
                    Ok(answer) => answer.map_err(Failure::App),
                    // The job was dropped, as the worker panicked.
                    Err(_) => Err(Failure::Panicked),
                },
            }
        });
        ended.await.unwrap_or(Err(Failure::TimedOut))
    }
}

impl Operations for Client {
    type Error = Failure;

    async fn get(&self, key: String) -> Result<String, Failure> {
        self.call(|reply| Query::Get(key, reply)).await
    }

    async fn put(&self, key: String, value: String) -> Result<(), Failure> {
        self.call(|reply| Query::Put(key, value, reply)).await
    }

    async fn put_slowly(&self, key: String, gate: u16) -> Result<(), Failure> {
        self.call(|reply| Query::PutSlowly(key, gate, reply)).await
    }

    async fn crash(&self, gate: u16) -> Result<(), Failure> {
        self.call(|reply| Query::Crash(gate, reply)).await
    }
}

pub(crate) fn run(listener: TcpListener, config: Config) -> io::Result<()> {
    http::runtime()?.block_on(async {
        let factory = Factory::<_, _, _, Owner, QueuerRouting<_, _>, DefaultQueue<_, _>>::default();
        let arguments = FactoryArguments::builder()
            .worker_builder(Box::new(worker_builder(move |_| {
                (Owner, config.database.clone())
            })))
            .router(QueuerRouting::default())
            .queue(DefaultQueue::default())
            .discard_settings(DiscardSettings::Static {
                limit: config.capacity,
                mode: DiscardMode::Newest,
            })
            .build();
        let spawned = Actor::spawn(None, factory, arguments).await;
        let (factory, handle) = spawned.map_err(io::Error::other)?;
        let client = Client {
            factory: factory.clone(),
            deadline: config.deadline,
        };
        http::serve(listener, client).await?;
        let _ = factory.drain_requests();
        handle.await.map_err(io::Error::other)
    })
}
