//! With this family: a typed service on a thread, with the adapter for axum.

use std::{io, net::TcpListener};

use ump_server::{OnPanic, Restart, service, thread};
use ump_tower::axum::ErrorResponse;

use crate::{
    Config,
    http::{self, Operations},
    store::{self, Store, StoreError},
};

struct Database(Store);

#[service(start_error = StoreError)]
impl Database {
    fn get(&mut self, key: String) -> store::Result<String> {
        self.0.get(&key)
    }

    fn put(&mut self, key: String, value: String) -> store::Result<()> {
        self.0.put(&key, &value)
    }

    fn put_slowly(&mut self, key: String, gate: u16) -> store::Result<()> {
        self.0.put_slowly(&key, gate)
    }

    fn crash(&mut self, gate: u16) -> store::Result<()> {
        self.0.crash(gate)
    }
}

type Failure = ErrorResponse<StoreError>;

impl Operations for DatabaseClient {
    type Error = Failure;

    async fn get(&self, key: String) -> Result<String, Failure> {
        Ok(self.get(key).if_room().await?)
    }

    async fn put(&self, key: String, value: String) -> Result<(), Failure> {
        Ok(self.put(key, value).if_room().await?)
    }

    async fn put_slowly(&self, key: String, gate: u16) -> Result<(), Failure> {
        Ok(self.put_slowly(key, gate).if_room().await?)
    }

    async fn crash(&self, gate: u16) -> Result<(), Failure> {
        Ok(self.crash(gate).if_room().await?)
    }
}

pub(crate) fn run(listener: TcpListener, config: Config) -> io::Result<()> {
    let (client, handle) = thread::Builder::new()
        .capacity(config.capacity)
        .default_timeout(config.deadline)
        .on_panic(OnPanic::Restart(Restart::new()))
        .spawn_with(move |_| Ok(Database(Store::open(&config.database)?)))
        .map_err(io::Error::other)?;
    http::runtime()?.block_on(http::serve(listener, DatabaseClient(client)))?;
    handle.join().map_err(io::Error::other)?;
    Ok(())
}
