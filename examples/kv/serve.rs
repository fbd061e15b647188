//! The connections: accepted, served by hyper, and ended.
//!
//! There are at most so many. One more makes the one that has been idle for the longest time go; if all are busy, it is answered with 503, and
//! closed. So neither connections on which nothing is said, nor heads of requests that do not end, keep new clients out.

use std::{convert::Infallible, error::Error, fmt, io, pin::pin, sync::Arc, time::Duration};

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
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time,
};

use crate::{
    body::{self, RequestBody, ResponseBody},
    connections::{Connection, Connections},
    error::ApiError,
    http,
    pace::Paced,
};

/// The longest head of a request, and what is read ahead of a body. In bytes.
const MAX_HEAD: usize = 64 * 1024;

/// How many connections are answered with 503 at a time. More are closed without a word.
const REFUSALS: usize = 64;

/// How long such a connection may take for its request.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// When a connection is accepted that could not be, for want of descriptors or memory.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many connections there may be.
    pub(crate) connections: usize,
    /// How long a head may take, and how long a connection may be idle.
    pub(crate) head: Duration,
    /// How long a client may keep us waiting with a body, or for the reading of one.
    pub(crate) body: Duration,
}

/// Serves until it is asked to stop, and then until all connections have ended.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stopping: watch::Receiver<bool>,
) {
    let connections = Connections::new(limits.connections);
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
            () = http::stopped(stopping.clone()) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // Of this one connection, which is gone.
            Err(error) if is_of_the_connection(&error) => continue,
            Err(_) => {
                connections.shed();
                time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // It only makes small answers quicker.
        let _ = stream.set_nodelay(true);
        if let Some(connection) = connections.enter() {
            let (router, stopping) = (router.clone(), stopping.clone());
            tasks.spawn(serve_connection(
                stream, connection, router, limits, stopping,
            ));
        } else if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
            let refusal = refuse(stream, limits.connections, stopping.clone());
            tasks.spawn(async move {
                // It has been told, or has left.
                let _ = time::timeout(REFUSAL_TIME, refusal).await;
                drop(permit);
            });
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

fn is_of_the_connection(error: &io::Error) -> bool {
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
    stopping: watch::Receiver<bool>,
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
                return Err(MadeWay);
            };
            let Ok(response) = response.await;
            Ok(response.map(|body| ResponseBody::new(body, busy)))
        }
    };
    let io = TokioIo::new(Paced::new(stream, limits.body, Arc::clone(&connection)));
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, service_fn(respond))
    );
    // How a connection ends concerns nobody but its client.
    tokio::select! {
        _ = serving.as_mut() => return,
        () = connection.made_way() => return,
        () = http::stopped(stopping.clone()) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// The connection had to make way while its next request came.
#[derive(Debug)]
struct MadeWay;

impl fmt::Display for MadeWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection made way for another")
    }
}

impl Error for MadeWay {}

/// Answers the first request with 503.
async fn refuse(
    stream: TcpStream,
    max: usize,
    stopping: watch::Receiver<bool>,
) -> Result<(), hyper::Error> {
    let respond = |request: Request<Incoming>| {
        body::drain_aside(request, stopping.clone());
        async move { Ok::<_, Infallible>(all_are_busy(max)) }
    };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REFUSAL_TIME)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service_fn(respond))
        .await
}

fn all_are_busy(max: usize) -> Response<Body> {
    let error = ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("there are {max} connections already, and all are busy"),
    );
    let mut response = error.with("executed", "no").into_response();
    let close = header::HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}
