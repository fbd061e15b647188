//! The program's own sections.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    app::{Shared, blocking},
    problem::Problem,
};

pub(super) async fn names(State(app): Shared) -> Json<Value> {
    let names: Vec<&String> = app.sources.sections.keys().collect();
    Json(json!({ "sections": names }))
}

pub(super) async fn one(
    State(app): Shared,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let section = app.sources.sections.get(&name);
    let section = section.ok_or_else(|| Problem::not_found("there is no such section"))?;
    let read = Arc::clone(section);
    blocking(move || read()).await.map(Json)
}
