//! What changes the program.

use std::time::Duration;

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};
use ump_server::{Stop, system::Directory};

use super::{
    app::{App, Shared},
    problem::Problem,
};

/// The time in which a component stops, unless the client says otherwise, and the longest, in
/// seconds.
const DEFAULT_WITHIN: f64 = 5.0;
const MAX_WITHIN: f64 = 20.0;

pub(super) async fn renew(
    State(app): Shared,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    directory(&app)?.renew(&name)?;
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}

/// How a component is stopped.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StopOptions {
    how: How,
    within_s: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    /// Serves the queued requests first.
    #[default]
    Drain,
    /// Rejects the queued requests.
    Refuse,
}

impl Default for StopOptions {
    fn default() -> Self {
        Self {
            how: How::default(),
            within_s: DEFAULT_WITHIN,
        }
    }
}

pub(super) async fn stop(
    State(app): Shared,
    Path(name): Path<String>,
    options: Result<Json<StopOptions>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(StopOptions { how, within_s }) = options?;
    if !(0.0..=MAX_WITHIN).contains(&within_s) {
        return Err(Problem::bad_request("within_s is from 0 to 20"));
    }
    let how = match how {
        How::Drain => Stop::Drain,
        How::Refuse => Stop::Refuse,
    };
    let within = Duration::from_secs_f64(within_s);
    let report = directory(&app)?.stop_component(&name, how, within)?.await;
    app.changed();
    let instances = report.instances.iter().map(|ended| {
        json!({
            "component": ended.component,
            "instance": ended.instance,
            "outcome": ended.how.to_string(),
        })
    });
    Ok(Json(json!({
        "is_clean": report.is_clean(),
        "took_s": report.took.as_secs_f64(),
        "instances": instances.collect::<Vec<_>>(),
    })))
}

/// A topic with a retained message. Types with different prefixes never share one; that of `Bytes`
/// has no prefix, so its type tells it apart.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Topic {
    topic: String,
    type_name: Option<String>,
}

pub(super) async fn forget(
    State(app): Shared,
    topic: Result<Query<Topic>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(Topic { topic, type_name }) = topic?;
    let router = app.sources.router.as_ref();
    let router = router.ok_or_else(|| Problem::not_found("the program shows no router"))?;
    let is_it = |status: &&ump_router::RetainedStatus| {
        status.topic.as_str() == topic
            && type_name
                .as_ref()
                .is_none_or(|name| status.type_name == name)
    };
    let retained = router.retained();
    let found: Vec<_> = retained.iter().filter(is_it).collect();
    let status = match found[..] {
        [] => return Err(nothing_retained()),
        [status] => status,
        _ => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "several types have a retained message there: add type_name",
            ));
        }
    };
    let removed = router
        .remove_listed(status)
        .map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    app.changed();
    if removed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(nothing_retained())
    }
}

fn nothing_retained() -> Problem {
    Problem::not_found("no message is retained there")
}

fn directory(app: &App) -> Result<&Directory, Problem> {
    let directory = app.sources.directory.as_ref();
    directory.ok_or_else(|| Problem::not_found("the program shows no system"))
}
