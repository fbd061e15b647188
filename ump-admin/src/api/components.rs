//! Components, and what their instances have.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    app::Shared,
    problem::Problem,
    topics::{Page, Paging},
};
use crate::model::{Component, Instance};

pub(super) async fn list(State(app): Shared) -> Json<Value> {
    Json(json!({ "components": *app.components() }))
}

pub(super) async fn one(
    State(app): Shared,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let components = app.components();
    let found = components.iter().find(|component| component.name == name);
    found
        .map(|component| Json(json!(component)))
        .ok_or_else(|| Problem::not_found("there is no component with this name"))
}

pub(super) async fn timers(State(app): Shared) -> Json<Value> {
    let components = app.components();
    let timers = components.iter().flat_map(|component| {
        numbered(component).map(|(number, instance)| {
            json!({
                "component": component.name,
                "instance": number,
                "timers": instance.timers,
            })
        })
    });
    Json(json!({ "timers": timers.collect::<Vec<_>>() }))
}

/// A socket with its owner.
#[derive(Serialize)]
pub(super) struct OwnedSocket {
    component: String,
    instance: usize,
    #[serde(flatten)]
    socket: crate::model::Socket,
}

pub(super) async fn sockets(
    State(app): Shared,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Page<OwnedSocket>>, Problem> {
    let Query(paging) = paging?;
    let components = app.components();
    let sockets = components.iter().flat_map(|component| {
        numbered(component).flat_map(move |(instance, of_instance)| {
            of_instance.sockets.iter().map(move |socket| OwnedSocket {
                component: component.name.clone(),
                instance,
                socket: socket.clone(),
            })
        })
    });
    paging.page(sockets).map(Json)
}

fn numbered(component: &Component) -> impl Iterator<Item = (usize, &Instance)> {
    component.instances.iter().enumerate()
}
