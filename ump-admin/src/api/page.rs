//! The files of the dashboard.

use axum::{
    http::header,
    response::{Html, IntoResponse},
};

use crate::dashboard::{HTML, ICON, LOG_SCRIPT, SCRIPT, STYLE};

pub(super) async fn html() -> Html<&'static str> {
    Html(HTML)
}

pub(super) async fn css() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

pub(super) async fn script() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        SCRIPT,
    )
}

pub(super) async fn log_script() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        LOG_SCRIPT,
    )
}

pub(super) async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], ICON)
}
