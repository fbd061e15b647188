//! The routes: each handler turns an HTTP request into a request to the store, and awaits its
//! outcome.

use std::{
    convert::Infallible,
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
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use ump::{Ask, Client, RequestError, WeakClient};
use ump_server::system::Directory;

use crate::{
    args::Args,
    backup::Backups,
    changes::Changes,
    error::ApiError,
    events,
    gauges::Gauges,
    import,
    key::Key,
    memory::MemoryBudget,
    op::{Crash, Delete, Get, List, Listing, Op, Put, Reply, StoreError},
    origin::{self, OriginPolicy},
    recent::Recent,
    stopping::Stopping,
    store::{MAX_VALUE, StoreContext},
    ttl::Ttl,
};

/// The default length of a list.
const DEFAULT_LIMIT: usize = 100;
/// The largest length of a list.
const MAX_LIMIT: usize = 1000;

/// The number of imports at a time; each has some lines in memory.
const MAX_IMPORTS: usize = 8;

/// The state of the handlers.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// Weak, so that an open connection does not keep the store alive when the service stops.
    client: WeakClient<Op, Reply, StoreError>,
    /// The timeout of each request.
    timeout: Duration,
    stopping: Stopping,
    /// The time from a request to the store to its outcome, in microseconds.
    latencies: Arc<Recent>,
    directory: Directory,
    gauges: Arc<Gauges>,
    changes: Changes,
    /// The interval of comments to watchers while nothing changes.
    keep_alive: Duration,
    /// The budget of incoming values.
    memory: MemoryBudget,
    imports: Arc<Semaphore>,
    backups: Backups,
}

impl App {
    pub(crate) fn new(
        client: &Client<Op, Reply, StoreError>,
        args: &Args,
        directory: Directory,
        context: StoreContext,
        stopping: Stopping,
    ) -> Self {
        Self {
            client: client.weak(),
            timeout: args.timeout,
            stopping,
            latencies: Arc::default(),
            directory,
            gauges: context.gauges,
            changes: context.changes,
            keep_alive: args.keep_alive,
            memory: MemoryBudget::new(),
            imports: Arc::new(Semaphore::new(MAX_IMPORTS)),
            backups: Backups::new(&args.db),
        }
    }

    fn client(&self) -> Result<Client<Op, Reply, StoreError>, ApiError> {
        self.client.upgrade().ok_or_else(ApiError::stopping)
    }

    /// Sends a request to the store. If the HTTP client disconnects, this future is dropped, which
    /// revokes the request.
    async fn ask<M>(&self, message: M) -> Result<M::Reply, ApiError>
    where
        M: Ask<Op, Reply, StoreError, Error = StoreError>,
    {
        let start = Instant::now();
        let client = self.client()?;
        let answer = client.ask(message).timeout(self.timeout).if_room().await;
        // Refused requests take no time and would distort the statistics.
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

/// Makes the routes; with `chaos` also the one that makes the store panic.
pub(crate) fn router(app: App, policy: OriginPolicy, chaos: bool) -> Router {
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
            Arc::new(policy),
            origin::check,
        ))
        .with_state(app)
}

async fn get(
    State(app): State<App>,
    key: Result<Path<Key>, PathRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Path(key) = key?;
    let value = app.ask(Get(key)).await?.ok_or_else(ApiError::no_such_key)?;
    let content = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((content, Bytes::from_owner(value)))
}

async fn put(
    State(app): State<App>,
    key: Result<Path<Key>, PathRejection>,
    query: Result<Query<PutQuery>, QueryRejection>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let Path(key) = key?;
    let Query(PutQuery { ttl }) = query?;
    let ttl = ttl.map(|ttl| ttl.parse::<Ttl>()).transpose()?;
    let value = value(&app, body).await?;
    app.ask(Put(key, ttl, value)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads a value when the memory budget allows it.
async fn value(app: &App, body: Body) -> Result<Bytes, ApiError> {
    let hint = body.size_hint();
    if hint.lower() > MAX_VALUE as u64 {
        return Err(ApiError::value_too_long());
    }
    let bytes = hint.upper().and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = bytes.unwrap_or(MAX_VALUE).min(MAX_VALUE);
    let reservation = app.memory.reserve(bytes, app.timeout).await;
    let reservation = reservation.ok_or_else(|| {
        let text = "too many bytes of values are being received";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text).with("executed", "no")
    })?;
    let value = to_bytes(body, MAX_VALUE).await?;
    Ok(reservation.bind(value))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PutQuery {
    ttl: Option<String>,
}

async fn delete(
    State(app): State<App>,
    key: Result<Path<Key>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(key) = key?;
    if !app.ask(Delete(key)).await? {
        return Err(ApiError::no_such_key());
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<usize>,
}

async fn list(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Listing>, ApiError> {
    let Query(ListQuery {
        prefix,
        after,
        limit,
    }) = query?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::bad_request(format!(
            "limit must be from 1 to {MAX_LIMIT}"
        )));
    }
    let list = List {
        prefix,
        after,
        limit,
    };
    Ok(Json(app.ask(list).await?))
}

async fn import(State(app): State<App>, body: Body) -> Result<Json<Value>, ApiError> {
    let _permit = app.imports.try_acquire().map_err(|_| {
        let text = "too many imports at a time";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text).with("executed", "no")
    })?;
    import::import(app.client()?, app.timeout, app.stopping, body).await
}

async fn events(
    State(app): State<App>,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Query(fields) = query?;
    events::stream(app.changes, app.keep_alive, &headers, &fields)
}

async fn backup(State(app): State<App>) -> Result<Response, ApiError> {
    app.backups.create(app.stopping).await
}

/// Its caller gets the error of all callers whose requests the store has taken when it panics.
async fn crash(State(app): State<App>) -> Result<Infallible, ApiError> {
    app.ask(Crash).await
}

/// Sends no request to the store, so it works also when the queue is full.
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
