//! The routes: each handler turns an HTTP request into one request to the store, and waits for how that ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use ump::{Client, RequestError, WeakClient};
use ump_server::system::Directory;

use crate::{
    args::Args,
    backup::{Backups, backup},
    changes::Changes,
    error::ApiError,
    events::events,
    gauges::Gauges,
    import::import,
    key::Key,
    op::{Op, Reply, StoreError},
    origin::{self, Allowed},
    recent::Recent,
    room::Room,
    store::{MAX_VALUE, Surroundings},
    ttl::Ttl,
};

/// The length of a list, unless the caller asks for another, and the longest to be had.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// How many imports there may be at a time: each may have some lines in memory.
const MAX_IMPORTS: usize = 8;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// Weak, so that a connection that stays open does not keep the store alive when the service ends.
    client: WeakClient<Op, Reply, StoreError>,
    /// For each request.
    pub(crate) timeout: Duration,
    pub(crate) stopping: watch::Receiver<bool>,
    /// In microseconds, from asking the store to knowing the outcome.
    latencies: Arc<Recent>,
    /// Where the store is found.
    directory: Directory,
    gauges: Arc<Gauges>,
    pub(crate) changes: Changes,
    /// How long a watcher hears nothing before it is sent a comment.
    pub(crate) keep_alive: Duration,
    /// For the values of requests to write.
    room: Room,
    pub(crate) imports: Arc<Semaphore>,
    pub(crate) backups: Backups,
}

impl App {
    pub(crate) fn new(
        client: &Client<Op, Reply, StoreError>,
        args: &Args,
        directory: Directory,
        surroundings: Surroundings,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            client: client.weak(),
            timeout: args.timeout,
            stopping,
            latencies: Arc::default(),
            directory,
            gauges: surroundings.gauges,
            changes: surroundings.changes,
            keep_alive: args.keep_alive,
            room: Room::new(),
            imports: Arc::new(Semaphore::new(MAX_IMPORTS)),
            backups: Backups::new(&args.db),
        }
    }

    pub(crate) fn client(&self) -> Result<Client<Op, Reply, StoreError>, ApiError> {
        self.client.upgrade().ok_or_else(ApiError::stopping)
    }

    /// Asks the store. If the caller hangs up, this future is dropped, and the request with it.
    async fn ask(&self, op: Op) -> Result<Reply, ApiError> {
        let start = Instant::now();
        let answer = self
            .client()?
            .request(op)
            .timeout(self.timeout)
            .if_room()
            .await;
        // What was refused took no time, and would flatter the figures.
        if !matches!(
            answer,
            Err(RequestError::Full(_) | RequestError::ServerDisappeared(_))
        ) {
            self.latencies
                .record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        Ok(answer?)
    }
}

/// With chaos there is also the route that makes the store panic.
pub(crate) fn router(app: App, allowed: Allowed, chaos: bool) -> Router {
    let crash = if chaos {
        Router::new().route("/debug/crash", routing::post(crash))
    } else {
        Router::new()
    };
    Router::new()
        .merge(crash)
        .route("/kv", routing::get(list))
        .route(
            "/kv/",
            routing::any(async || ApiError::bad_request("the key is empty")),
        )
        .route("/kv/{*key}", routing::get(get).put(put).delete(delete))
        .route("/import", routing::post(import))
        .route("/events", routing::get(events))
        .route("/backup", routing::get(backup))
        .route("/stats", routing::get(stats))
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "no such route"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "no such method here")
        })
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(
            Arc::new(allowed),
            origin::check,
        ))
        .with_state(app)
}

/// Returns when the service is asked to stop.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the one who would ask is gone, which comes to the same.
    let _ = stopping.wait_for(|&stop| stop).await;
}

async fn get(
    State(app): State<App>,
    key: Result<Path<Key>, PathRejection>,
) -> Result<Reply, ApiError> {
    let Path(key) = key?;
    app.ask(Op::Get(key)).await
}

async fn put(
    State(app): State<App>,
    key: Result<Path<Key>, PathRejection>,
    query: Result<Query<Write>, QueryRejection>,
    body: Body,
) -> Result<Reply, ApiError> {
    let Path(key) = key?;
    let Query(Write { ttl }) = query?;
    let ttl = ttl.map(|ttl| ttl.parse::<Ttl>()).transpose()?;
    let value = value(&app, body).await?;
    app.ask(Op::Put(key, ttl, value)).await
}

/// Reads a value whole, once there is room for it.
async fn value(app: &App, body: Body) -> Result<Bytes, ApiError> {
    let hint = body.size_hint();
    if hint.lower() > MAX_VALUE as u64 {
        return Err(ApiError::value_too_long());
    }
    let bytes = hint.upper().and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = bytes.unwrap_or(MAX_VALUE).min(MAX_VALUE);
    let room = app.room.reserve(bytes, app.timeout).await;
    let room = room.ok_or_else(|| {
        let text = "too many bytes of values are being received";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text).with("executed", "no")
    })?;
    let value = to_bytes(body, MAX_VALUE).await?;
    Ok(room.with(value))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    ttl: Option<String>,
}

async fn delete(
    State(app): State<App>,
    key: Result<Path<Key>, PathRejection>,
) -> Result<Reply, ApiError> {
    let Path(key) = key?;
    app.ask(Op::Delete(key)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<usize>,
}

async fn list(
    State(app): State<App>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Reply, ApiError> {
    let Query(Listing {
        prefix,
        after,
        limit,
    }) = query?;
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::bad_request(format!(
            "limit must be from 1 to {MAX_LIMIT}"
        )));
    }
    app.ask(Op::List {
        prefix,
        after,
        limit,
    })
    .await
}

/// Its caller learns what all learn whose requests are in the store's hands when it panics.
async fn crash(State(app): State<App>) -> Result<Reply, ApiError> {
    app.ask(Op::Crash).await
}

/// Does not ask the store, so it answers also when the queue is full.
async fn stats(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let components = app.directory.status();
    let store = components
        .iter()
        .flat_map(|component| &component.instances)
        .next()
        .ok_or_else(ApiError::stopping)?;
    Ok(Json(json!({
        "queue": { "depth": store.requests.queued, "capacity": store.capacity },
        "requests": store.requests,
        "latency_us": app.latencies.summary(),
        "batch_size": app.gauges.batch_sizes.summary(),
        "store": {
            "restarts": store.restarts,
            "expiring": app.gauges.expiring(),
            "timers": store.timers,
        },
        "watchers": app.changes.watchers(),
    })))
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Done => StatusCode::NO_CONTENT.into_response(),
            Self::Absent => ApiError::new(StatusCode::NOT_FOUND, "no such key").into_response(),
            Self::Value(value) => {
                let content = [(header::CONTENT_TYPE, "application/octet-stream")];
                (content, Bytes::from_owner(value)).into_response()
            }
            Self::Keys(keys) => Json(keys).into_response(),
        }
    }
}
