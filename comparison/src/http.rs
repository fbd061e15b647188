//! The front that all programs share: an axum router, and the drain on a signal.

use std::{future::Future, io, net::TcpListener, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

use crate::store::StoreError;

/// The operations of the store, as the handlers of axum call them.
///
/// Each program implements it by what stands between a handler and the owner of the store: this is
/// the plumbing that is compared.
pub(crate) trait Operations: Send + Sync + 'static {
    /// The error, which is the response.
    type Error: IntoResponse;

    fn get(&self, key: String) -> impl Answer<String, Self::Error>;
    fn put(&self, key: String, value: String) -> impl Answer<(), Self::Error>;
    fn put_slowly(&self, key: String, gate: u16) -> impl Answer<(), Self::Error>;
    fn crash(&self, gate: u16) -> impl Answer<(), Self::Error>;
}

/// The future of an operation.
pub(crate) trait Answer<T, E>: Future<Output = Result<T, E>> + Send {}

impl<F: Future<Output = Result<T, E>> + Send, T, E> Answer<T, E> for F {}

/// Starts the runtime of a program.
pub(crate) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// Serves until SIGINT or SIGTERM, and then until the requests that were accepted are answered.
pub(crate) async fn serve(listener: TcpListener, store: impl Operations) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    axum::serve(listener, router(store))
        .with_graceful_shutdown(stop)
        .await
}

fn router<O: Operations>(store: O) -> Router {
    Router::new()
        .route("/values/{key}", get(read::<O>).put(write::<O>))
        .route("/slow/{key}/{gate}", put(write_slowly::<O>))
        .route("/crash/{gate}", post(crash::<O>))
        .with_state(Arc::new(store))
}

async fn read<O: Operations>(
    State(store): State<Arc<O>>,
    Path(key): Path<String>,
) -> Result<String, O::Error> {
    store.get(key).await
}

async fn write<O: Operations>(
    State(store): State<Arc<O>>,
    Path(key): Path<String>,
    value: String,
) -> Result<(), O::Error> {
    store.put(key, value).await
}

async fn write_slowly<O: Operations>(
    State(store): State<Arc<O>>,
    Path((key, gate)): Path<(String, u16)>,
) -> Result<(), O::Error> {
    store.put_slowly(key, gate).await
}

async fn crash<O: Operations>(
    State(store): State<Arc<O>>,
    Path(gate): Path<u16>,
) -> Result<(), O::Error> {
    store.crash(gate).await
}

impl IntoResponse for StoreError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Exists => StatusCode::CONFLICT,
            Self::Sqlite(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}
