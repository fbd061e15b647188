//! With tokio's channels: an enum of commands, each with a oneshot for its reply.

use std::{
    io,
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    Config,
    http::{self, Operations},
    programs::failure::Failure,
    store::{self, Store},
};

type Reply<T> = oneshot::Sender<store::Result<T>>;

enum Command {
    Get(String, Reply<String>),
    Put(String, String, Reply<()>),
    PutSlowly(String, u16, Reply<()>),
    Crash(u16, Reply<()>),
}

struct Client {
    commands: mpsc::Sender<Command>,
    deadline: Duration,
}

impl Client {
    async fn call<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .try_send(command(reply))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Failure::Full,
                mpsc::error::TrySendError::Closed(_) => Failure::Gone,
            })?;
        match timeout(self.deadline, answer).await {
            Ok(Ok(answer)) => answer.map_err(Failure::App),
            // The owner has dropped the reply, as it panicked.
            Ok(Err(_)) => Err(Failure::Panicked),
            Err(_) => Err(Failure::TimedOut),
        }
    }
}

impl Operations for Client {
    type Error = Failure;

    async fn get(&self, key: String) -> Result<String, Failure> {
        self.call(|reply| Command::Get(key, reply)).await
    }

    async fn put(&self, key: String, value: String) -> Result<(), Failure> {
        self.call(|reply| Command::Put(key, value, reply)).await
    }

    async fn put_slowly(&self, key: String, gate: u16) -> Result<(), Failure> {
        self.call(|reply| Command::PutSlowly(key, gate, reply))
            .await
    }

    async fn crash(&self, gate: u16) -> Result<(), Failure> {
        self.call(|reply| Command::Crash(gate, reply)).await
    }
}

/// Executes an operation, unless its caller has left.
fn answer<T>(reply: Reply<T>, operation: impl FnOnce() -> store::Result<T>) {
    if !reply.is_closed() {
        let _ = reply.send(operation());
    }
}

fn execute(store: &mut Store, command: Command) {
    match command {
        Command::Get(key, reply) => answer(reply, || store.get(&key)),
        Command::Put(key, value, reply) => answer(reply, || store.put(&key, &value)),
        Command::PutSlowly(key, gate, reply) => answer(reply, || store.put_slowly(&key, gate)),
        Command::Crash(gate, reply) => answer(reply, || store.crash(gate)),
    }
}

/// Owns the store until no client is left. After a panic it opens the store again.
fn own(database: &Path, mut commands: mpsc::Receiver<Command>) {
    loop {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let mut store = Store::open(database).expect("the database opens");
            while let Some(command) = commands.blocking_recv() {
                execute(&mut store, command);
            }
        }));
        if ended.is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn run(listener: TcpListener, config: Config) -> io::Result<()> {
    let (commands, received) = mpsc::channel(config.capacity);
    let deadline = config.deadline;
    let owner = thread::spawn(move || own(&config.database, received));
    let client = Client { commands, deadline };
    http::runtime()?.block_on(http::serve(listener, client))?;
    owner
        .join()
        .map_err(|_| io::Error::other("the owner panicked"))
}
