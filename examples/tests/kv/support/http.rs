//! An HTTP client: one request per connection.

use std::{error::Error, net::SocketAddr};

use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{self, HeaderMap, Request},
};

use super::TIMEOUT;

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// Returns the text of an error.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        self.json()["error"]
            .as_str()
            .expect("an error has a text")
            .to_owned()
    }
}

/// Sends a request and reads the response.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<Response, Box<dyn Error>> {
    let (head, mut body) = open(address, method, path, &[], body)?.into_parts();
    let body = body.with_config().limit(u64::MAX).read_to_vec()?;
    Ok(Response {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}

/// Sends a request and reads the head of the response.
pub(crate) fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<http::Response<Body>, Box<dyn Error>> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .proxy(None)
        .timeout_connect(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
        .timeout_per_write(Some(TIMEOUT))
        .build()
        .into();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("connection", "close");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(if body.is_empty() {
        agent.run(request.body(())?)?
    } else {
        agent.run(request.body(body)?)?
    })
}
