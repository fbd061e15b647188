//! With actix: an actor on the thread of a `SyncArbiter`.

use std::{
    io,
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    thread,
    time::Duration,
};

use actix::{dev::ToEnvelope, prelude::*};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    Config,
    http::{self, Operations},
    programs::failure::Failure,
    store::{self, Store},
};

#[derive(Message)]
#[rtype(result = "Result<String, Failure>")]
struct Get(String);

#[derive(Message)]
#[rtype(result = "Result<(), Failure>")]
struct Put(String, String);

#[derive(Message)]
#[rtype(result = "Result<(), Failure>")]
struct PutSlowly(String, u16);

#[derive(Message)]
#[rtype(result = "Result<(), Failure>")]
struct Crash(u16);

struct Database {
    path: PathBuf,
    /// `None` before `started`. The arbiter makes a new actor before it drops the old one with its
    /// transaction, and starts it after that.
    store: Option<Store>,
    /// Is dropped when the thread of the arbiter ends.
    _running: mpsc::Sender<()>,
}

impl Database {
    /// Executes an operation. After a panic the arbiter makes a new actor. Without the catch its
    /// thread would end, and all further requests would fail.
    fn execute<T>(
        &mut self,
        context: &mut SyncContext<Self>,
        operation: impl FnOnce(&mut Store) -> store::Result<T>,
    ) -> Result<T, Failure> {
        let store = self.store.as_mut().expect("it is started");
        let Ok(answer) = catch_unwind(AssertUnwindSafe(|| operation(store))) else {
            context.stop();
            return Err(Failure::Panicked);
        };
        answer.map_err(Failure::App)
    }
}

impl Actor for Database {
    type Context = SyncContext<Self>;

    fn started(&mut self, _: &mut SyncContext<Self>) {
        self.store = loop {
            match Store::open(&self.path) {
                Ok(store) => break Some(store),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        };
    }
}

impl Handler<Get> for Database {
    type Result = Result<String, Failure>;

    fn handle(&mut self, Get(key): Get, context: &mut SyncContext<Self>) -> Self::Result {
        self.execute(context, |store| store.get(&key))
    }
}

impl Handler<Put> for Database {
    type Result = Result<(), Failure>;

    fn handle(&mut self, Put(key, value): Put, context: &mut SyncContext<Self>) -> Self::Result {
        self.execute(context, |store| store.put(&key, &value))
    }
}

impl Handler<PutSlowly> for Database {
    type Result = Result<(), Failure>;

    fn handle(
        &mut self,
        PutSlowly(key, gate): PutSlowly,
        context: &mut SyncContext<Self>,
    ) -> Self::Result {
        self.execute(context, |store| store.put_slowly(&key, gate))
    }
}

impl Handler<Crash> for Database {
    type Result = Result<(), Failure>;

    fn handle(&mut self, Crash(gate): Crash, context: &mut SyncContext<Self>) -> Self::Result {
        self.execute(context, |store| store.crash(gate))
    }
}

struct Client {
    database: Addr<Database>,
    /// The mailbox of a sync actor has no limit.
    permits: Semaphore,
    deadline: Duration,
}

impl Client {
    async fn send<M, T>(&self, message: M) -> Result<T, Failure>
    where
        Database: Handler<M>,
        SyncContext<Database>: ToEnvelope<Database, M>,
        M: Message<Result = Result<T, Failure>> + Send + 'static,
        T: Send + 'static,
    {
        let _permit = self.permits.try_acquire().map_err(|_| Failure::Full)?;
        match self.database.send(message).timeout(self.deadline).await {
            Ok(answer) => answer,
            Err(MailboxError::Timeout) => Err(Failure::TimedOut),
            Err(MailboxError::Closed) => Err(Failure::Gone),
        }
    }
}

impl Operations for Client {
    type Error = Failure;

    async fn get(&self, key: String) -> Result<String, Failure> {
        self.send(Get(key)).await
    }

    async fn put(&self, key: String, value: String) -> Result<(), Failure> {
        self.send(Put(key, value)).await
    }

    async fn put_slowly(&self, key: String, gate: u16) -> Result<(), Failure> {
        self.send(PutSlowly(key, gate)).await
    }

    async fn crash(&self, gate: u16) -> Result<(), Failure> {
        self.send(Crash(gate)).await
    }
}

pub(crate) fn run(listener: TcpListener, config: Config) -> io::Result<()> {
    let runtime = http::runtime()?;
    let system = System::with_tokio_rt(|| runtime);
    system.block_on(async {
        let (running, mut ended) = mpsc::channel(1);
        let database = SyncArbiter::start(1, move || Database {
            path: config.database.clone(),
            store: None,
            _running: running.clone(),
        });
        let client = Client {
            database,
            // Those that wait, and the one that is executed.
            permits: Semaphore::new(config.capacity + 1),
            deadline: config.deadline,
        };
        http::serve(listener, client).await?;
        // The arbiter ends without its last address. Its thread cannot be joined.
        ended.recv().await;
        Ok(())
    })
}
