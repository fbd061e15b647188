//! Whether the program is healthy, and whether it is ready.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use super::app::Shared;
use crate::model::Condition;

pub(super) async fn health(State(app): Shared) -> (StatusCode, Json<Value>) {
    let components = app.components();
    answer(
        "healthy",
        components.iter().all(|it| it.state != Condition::Failed),
    )
}

pub(super) async fn ready(State(app): Shared) -> (StatusCode, Json<Value>) {
    let components = app.components();
    answer(
        "ready",
        components.iter().all(|it| it.state == Condition::Up),
    )
}

/// It says nothing else, as it needs no token.
fn answer(what: &str, is_so: bool) -> (StatusCode, Json<Value>) {
    let status = if is_so {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ what: is_so })))
}
