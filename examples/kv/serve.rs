//! Accepts connections and serves them with hyper.
//!
//! The number of connections is limited. One more evicts the one that has been idle for the longest
//! time; if all are busy, it gets 503 and is closed. So neither silent connections nor unfinished
//! heads of requests keep new clients out.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::StatusCode, response::IntoResponse};
use hyper::{
    Request, Response,
    body::Incoming,
    header,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time,
};

use crate::{
    body::{self, RequestBody, ResponseBody},
    connections::{Connection, Connections},
    error::ApiError,
    slow_client::TimedStream,
    stopping::{Stopping, stopped},
};

/// The longest head of a request, and the read-ahead of a body, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// The number of connections answered with 503 at a time; more are closed at once.
const REFUSALS: usize = 64;

/// The timeout of such a connection.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// The pause after a failed accept, for lack of descriptors or memory.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The limits of clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The maximum number of connections.
    pub(crate) connections: usize,
    /// The timeout of heads of requests and of idle connections.
    pub(crate) head: Duration,
    /// How long a client may keep the service waiting while it sends or reads a body.
    pub(crate) body: Duration,
}

/// Serves until the service stops, and then until all connections have ended.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stopping: Stopping,
) {
    let connections = Connections::new(limits.connections);
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
            () = stopped(stopping.clone()) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // The error concerns only this connection.
            Err(error) if is_connection_error(&error) => continue,
            Err(_) => {
                connections.evict();
                time::sleep(ACCEPT_RETRY_INTERVAL).await;
                continue;
            }
        };
        // An optimisation, which may fail.
        let _ = stream.set_nodelay(true);
        if let Some(connection) = connections.admit() {
            let (router, stopping) = (router.clone(), stopping.clone());
            tasks.spawn(serve_connection(
                stream, connection, router, limits, stopping,
            ));
        } else if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
            let refusal = refuse(stream, limits.connections, stopping.clone());
            tasks.spawn(async move {
                // On timeout the connection is closed.
                let _ = time::timeout(REFUSAL_TIME, refusal).await;
                drop(permit);
            });
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn serve_connection(
    stream: TcpStream,
    connection: Arc<Connection>,
    router: Router,
    limits: Limits,
    stopping: Stopping,
) {
    let service = TowerToHyperService::new(router);
    let respond = |request: Request<Incoming>| {
        let busy = connection.busy();
        let response = busy.map(|busy| {
            let expects = request.headers().contains_key(header::EXPECT);
            let (parts, body) = request.into_parts();
            let limit = limits.body;
            let body = RequestBody::new(body, expects, limit, stopping.clone(), Arc::clone(&busy));
            let response = service.call(Request::from_parts(parts, body));
            (response, busy)
        });
        async {
            let Some((response, busy)) = response else {
                return Err(Evicted);
            };
            let Ok(response) = response.await;
            Ok(response.map(|body| ResponseBody::new(body, busy)))
        }
    };
    let io = TokioIo::new(TimedStream::new(
        stream,
        limits.body,
        Arc::clone(&connection),
    ));
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, service_fn(respond))
    );
    // The errors of a connection concern only its client.
    tokio::select! {
        _ = serving.as_mut() => return,
        () = connection.evicted() => return,
        () = stopped(stopping.clone()) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// The connection was evicted while a request arrived.
#[derive(Debug, Error)]
#[error("the connection was evicted")]
struct Evicted;

/// Answers the first request with 503.
async fn refuse(stream: TcpStream, max: usize, stopping: Stopping) -> Result<(), hyper::Error> {
    let respond = |request: Request<Incoming>| {
        body::spawn_drain(request, stopping.clone());
        async move { Ok::<_, Infallible>(all_busy(max)) }
    };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REFUSAL_TIME)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service_fn(respond))
        .await
}

fn all_busy(max: usize) -> Response<Body> {
    let error = ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("all of {max} connections are busy"),
    );
    let mut response = error.with("executed", "no").into_response();
    let close = header::HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}
