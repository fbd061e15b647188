//! With kameo: a supervised actor on a thread of its own.

use std::{io, net::TcpListener, path::PathBuf, time::Duration};

use kameo::{
    error::SendError,
    message::BoxMessage,
    prelude::*,
    reply::{BoxReplySender, ReplyError},
    supervision::RestartPolicy,
};

use crate::{
    Config,
    http::{self, Operations},
    programs::failure::Failure,
    store::{self, Store, StoreError},
};

struct Database(Store);

impl Actor for Database {
    type Args = PathBuf;
    type Error = StoreError;

    async fn on_start(path: PathBuf, _: ActorRef<Self>) -> store::Result<Self> {
        Store::open(&path).map(Self)
    }

    /// Executes a request, unless its caller has left.
    async fn on_message(
        &mut self,
        message: BoxMessage<Self>,
        actor: ActorRef<Self>,
        reply: Option<BoxReplySender>,
        stop: &mut bool,
    ) -> Result<(), Box<dyn ReplyError>> {
        if reply.as_ref().is_some_and(BoxReplySender::is_closed) {
            return Ok(());
        }
        message.handle_dyn(self, actor, reply, stop).await
    }
}

#[messages]
impl Database {
    #[message]
    fn get(&mut self, key: String) -> store::Result<String> {
        self.0.get(&key)
    }

    #[message]
    fn put(&mut self, key: String, value: String) -> store::Result<()> {
        self.0.put(&key, &value)
    }

    #[message]
    fn put_slowly(&mut self, key: String, gate: u16) -> store::Result<()> {
        self.0.put_slowly(&key, gate)
    }

    #[message]
    fn crash(&mut self, gate: u16) -> store::Result<()> {
        self.0.crash(gate)
    }
}

#[derive(Actor)]
struct Supervisor;

struct Client {
    database: ActorRef<Database>,
    deadline: Duration,
}

impl Client {
    async fn ask<M, T>(&self, message: M) -> Result<T, Failure>
    where
        Database: Message<M, Reply = store::Result<T>>,
        M: Send + 'static,
        T: Send + 'static,
    {
        let request = self.database.ask(message).reply_timeout(self.deadline);
        request.try_send().await.map_err(|error| match error {
            SendError::HandlerError(error) => Failure::App(error),
            SendError::MailboxFull(_) => Failure::Full,
            SendError::Timeout(_) => Failure::TimedOut,
            SendError::ActorStopped => Failure::Panicked,
            SendError::ActorNotRunning(_) | SendError::ActorRestarting(_) => Failure::Gone,
        })
    }
}

impl Operations for Client {
    type Error = Failure;

    async fn get(&self, key: String) -> Result<String, Failure> {
        self.ask(Get { key }).await
    }

    async fn put(&self, key: String, value: String) -> Result<(), Failure> {
        self.ask(Put { key, value }).await
    }

    async fn put_slowly(&self, key: String, gate: u16) -> Result<(), Failure> {
        self.ask(PutSlowly { key, gate }).await
    }

    async fn crash(&self, gate: u16) -> Result<(), Failure> {
        self.ask(Crash { gate }).await
    }
}

pub(crate) fn run(listener: TcpListener, config: Config) -> io::Result<()> {
    http::runtime()?.block_on(async {
        let supervisor = Supervisor::spawn(Supervisor);
        let database = Database::supervise_with(&supervisor, move || config.database.clone())
            .restart_policy(RestartPolicy::Transient)
            .spawn_in_thread_with_mailbox(mailbox::bounded(config.capacity))
            .await;
        let deadline = config.deadline;
        http::serve(listener, Client { database, deadline }).await?;
        // It stops its children first.
        let _ = supervisor.stop_gracefully().await;
        supervisor.wait_for_shutdown().await;
        Ok(())
    })
}
