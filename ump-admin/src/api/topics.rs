//! What the router has, in pages.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ump_router::Pattern;

use super::{app::Shared, problem::Problem};
use crate::model::{Retained, Subscription, Topic, TopicServer};

/// The items of a page, unless the client says otherwise, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// The greatest number of the first item of a page.
const MAX_OFFSET: usize = 1_000_000_000;

/// Which part of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    #[serde(default)]
    offset: usize,
    #[serde(default = "default_limit")]
    limit: usize,
}

fn default_limit() -> usize {
    DEFAULT_LIMIT
}

/// A part of a list. `next` is the offset of the next one.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    items: Vec<T>,
    total: usize,
    next: Option<usize>,
}

impl Paging {
    pub(super) fn page<T>(&self, all: impl Iterator<Item = T>) -> Result<Page<T>, Problem> {
        let &Self { offset, limit } = self;
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::bad_request("limit is from 1 to 1000"));
        }
        if offset > MAX_OFFSET {
            return Err(Problem::bad_request("offset is at most 1000000000"));
        }
        let end = offset + limit;
        let (mut items, mut total) = (Vec::new(), 0);
        for item in all {
            if (offset..end).contains(&total) {
                items.push(item);
            }
            total += 1;
        }
        let next = (end < total).then_some(end);
        Ok(Page { items, total, next })
    }
}

type QueryPaging = Result<Query<Paging>, QueryRejection>;
type PageOf<T> = Result<Json<Page<T>>, Problem>;

pub(super) async fn topics(State(app): Shared, paging: QueryPaging) -> PageOf<Topic> {
    paging?.page(app.topics().topics.iter().cloned()).map(Json)
}

pub(super) async fn subscriptions(State(app): Shared, paging: QueryPaging) -> PageOf<Subscription> {
    paging?
        .page(app.topics().subscriptions.iter().cloned())
        .map(Json)
}

pub(super) async fn servers(State(app): Shared, paging: QueryPaging) -> PageOf<TopicServer> {
    paging?.page(app.topics().servers.iter().cloned()).map(Json)
}

pub(super) async fn retained(State(app): Shared, paging: QueryPaging) -> PageOf<Retained> {
    paging?
        .page(app.topics().retained.iter().cloned())
        .map(Json)
}

pub(super) async fn links(State(app): Shared) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({ "links": *app.links().await? })))
}

/// Two patterns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Two {
    one: String,
    other: String,
}

pub(super) async fn explain(
    two: Result<Query<Two>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(Two { one, other }) = two?;
    let parse = |text: &str| {
        let pattern = text.parse::<Pattern>();
        pattern.map_err(|error| Problem::bad_request(error.to_string()))
    };
    let (one, other) = (parse(&one)?, parse(&other)?);
    Ok(Json(json!({
        "intersect": one.intersects(&other),
        "explanation": one.explain(&other).to_string(),
    })))
}
