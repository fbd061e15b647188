//! Requests to the program's modules.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use ump_tower::axum::ErrorResponse;

use super::{app::Shared, problem::Problem};
use crate::module::{ModuleError, ModuleRequest, Operation};

/// The deadline of a request, unless the client says otherwise, and the longest, in seconds. It is
/// shorter than that of the HTTP request.
const DEFAULT_WAIT: u64 = 5;
const MAX_WAIT: u64 = 25;

pub(super) async fn names(State(app): Shared) -> Json<Value> {
    let names: Vec<&String> = app.modules.keys().collect();
    Json(json!({ "modules": names }))
}

pub(super) async fn root(
    state: Shared,
    Path(name): Path<String>,
    query: RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    request(state, (name, String::new()), query, (method, headers), body).await
}

pub(super) async fn below(
    state: Shared,
    Path(path): Path<(String, String)>,
    query: RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    request(state, path, query, (method, headers), body).await
}

async fn request(
    State(app): Shared,
    (name, path): (String, String),
    RawQuery(query): RawQuery,
    (method, headers): (Method, HeaderMap),
    body: Bytes,
) -> Result<Response, Problem> {
    let module = app.modules.get(&name);
    let module = module.ok_or_else(|| Problem::not_found("there is no such module"))?;
    let request = ModuleRequest {
        operation: operation(&method),
        path: path.trim_matches('/').to_owned(),
        query: query.unwrap_or_default(),
        body: json_of(&headers, &body)?,
    };
    let timeout = Duration::from_secs(wait(&headers)?);
    Ok(match module.request(request, timeout).await {
        Ok(Value::Null) => StatusCode::NO_CONTENT.into_response(),
        Ok(value) => Json(value).into_response(),
        Err(error) => ErrorResponse::new(error).map_app(Refused).into_response(),
    })
}

fn operation(method: &Method) -> Operation {
    match *method {
        Method::POST => Operation::Add,
        Method::PUT => Operation::Set,
        Method::DELETE => Operation::Delete,
        // And HEAD.
        _ => Operation::Show,
    }
}

fn json_of(headers: &HeaderMap, body: &Bytes) -> Result<Value, Problem> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a body is application/json",
        ));
    }
    serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))
}

/// Returns the deadline of a request: `Prefer: wait=SECONDS`.
fn wait(headers: &HeaderMap) -> Result<u64, Problem> {
    let preferences = headers.get_all("prefer").iter();
    let mut preferences =
        preferences.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    let wait = preferences.find_map(|preference| {
        let (name, value) = preference.trim().split_once('=')?;
        name.eq_ignore_ascii_case("wait").then_some(value)
    });
    let Some(wait) = wait else {
        return Ok(DEFAULT_WAIT);
    };
    let seconds = wait.trim().parse().ok();
    seconds
        .filter(|seconds| (1..=MAX_WAIT).contains(seconds))
        .ok_or_else(|| Problem::bad_request("Prefer: wait is from 1 to 25 seconds"))
}

/// The module has refused the request.
struct Refused(ModuleError);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0 {
            ModuleError::NotFound => StatusCode::NOT_FOUND,
            ModuleError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ModuleError::Conflict(_) => StatusCode::CONFLICT,
            ModuleError::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            ModuleError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Problem::new(status, self.0.to_string()).into_response()
    }
}
