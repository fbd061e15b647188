//! Accepts connections, up to a maximum, and serves them with hyper.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, watch},
    task::JoinSet,
    time,
};
use tokio_io_timeout::TimeoutStream;

use super::listener::{AsyncListener, Io, Stream};

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The pause after a failed accept, for lack of descriptors or memory.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The limits of clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The maximum number of connections.
    pub(crate) connections: usize,
    /// The time for the head of a request, and for an idle connection.
    pub(crate) head: Duration,
    /// The time for a request, and for a write that the client does not read.
    pub(crate) request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head: Duration::from_secs(10),
            request: Duration::from_secs(30),
        }
    }
}

/// Serves until it is to stop, and then for the grace until the requests in hand have ended.
pub(crate) async fn serve(
    listener: AsyncListener,
    router: Router,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
    grace: Duration,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stopping.wait_for(|stops| *stops) => break,
        };
        let Ok(stream) = accepted else {
            time::sleep(ACCEPT_RETRY_INTERVAL).await;
            continue;
        };
        // Without room the connection is closed at once.
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            continue;
        };
        let (router, stopping) = (router.clone(), stopping.clone());
        connections.spawn(async move {
            match stream {
                Stream::Tcp(tcp) => serve_stream(tcp, router, limits, stopping).await,
                Stream::Unix(unix) => serve_stream(unix, router, limits, stopping).await,
            }
            drop(permit);
        });
    }
    drop(listener);
    let ending = async { while connections.join_next().await.is_some() {} };
    // What has not ended by then is dropped.
    let _ = time::timeout(grace, ending).await;
}

async fn serve_stream<S: AsyncRead + AsyncWrite + Send + 'static>(
    stream: S,
    router: Router,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.request));
    let io: Io<S> = TokioIo::new(Box::pin(stream));
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, TowerToHyperService::new(router))
    );
    // The errors of a connection concern only its client.
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = stopping.wait_for(|stops| *stops) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}
