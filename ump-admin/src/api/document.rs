//! The description of the routes.

use axum::{http::header, response::IntoResponse};

pub(super) async fn openapi() -> impl IntoResponse {
    let document = include_str!("openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], document)
}
