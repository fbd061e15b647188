//! Refuses requests that the web pages of others send.
//!
//! A browser lets any page send requests to `localhost`, with its origin in `Origin` and
//! `Sec-Fetch-Site`. A page can also let its own name resolve to this machine (DNS rebinding): then
//! only the name in `Host` differs. Programs other than browsers send neither `Origin` nor
//! `Sec-Fetch-Site`, and use an address or `localhost`.
//!
//! | header | allowed values |
//! |---|---|
//! | `Host` | an IP address, `localhost`, the name in `--listen`, each `--host` |
//! | `Origin` | none, the same as `Host`, each `--origin` |
//! | `Sec-Fetch-Site` | none, `same-origin`, `none`; any with an allowed `Origin`, and for links that are followed |

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::error::ApiError;

/// The hosts and origins that are allowed.
#[derive(Debug)]
pub(crate) struct OriginPolicy {
    /// In lower case, without a port.
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl OriginPolicy {
    pub(crate) fn new(listen: &str, hosts: &[String], origins: &[String]) -> Self {
        let own = host_of(listen).to_ascii_lowercase();
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase());
        Self {
            hosts: hosts.chain([own, "localhost".to_owned()]).collect(),
            origins: origins.iter().map(|o| o.to_ascii_lowercase()).collect(),
        }
    }

    fn has_host(&self, host: &str) -> bool {
        let host = host_of(host).to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok() || self.hosts.contains(&host)
    }

    /// Checks the headers, and returns the origin if it is another one that is allowed.
    fn check<'a>(
        &self,
        method: &Method,
        host: Option<&str>,
        headers: &'a HeaderMap,
    ) -> Result<Option<&'a HeaderValue>, ApiError> {
        match host {
            Some(host) if self.has_host(host) => {}
            None => {}
            Some(host) => return Err(other_host(host)),
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            let text = origin.to_str().unwrap_or_default().to_ascii_lowercase();
            let own = text
                .strip_prefix("http://")
                .or(text.strip_prefix("https://"));
            if own.is_some() && own == host.map(str::to_ascii_lowercase).as_deref() {
                return Ok(None);
            }
            if self.origins.contains(&text) {
                return Ok(Some(origin));
            }
            return Err(other_origin(&format!("of {text:?}")));
        }
        let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        let is_link = method == Method::GET && text("sec-fetch-mode") == Some(b"navigate");
        match text("sec-fetch-site") {
            None | Some(b"same-origin" | b"none") => Ok(None),
            Some(_) if is_link => Ok(None),
            Some(_) => Err(other_origin("of another site")),
        }
    }
}

fn other_host(host: &str) -> ApiError {
    ApiError::new(
        StatusCode::MISDIRECTED_REQUEST,
        format!(
            "this service is not {host:?}; to allow this name, start it with --host {}",
            host_of(host)
        ),
    )
    .with("executed", "no")
}

fn other_origin(whose: &str) -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        format!("requests from pages {whose} are refused; to allow an origin, use --origin"),
    )
    .with("executed", "no")
}

/// Returns the host without the port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Checks each request before it is routed.
pub(crate) async fn check(
    State(policy): State<Arc<OriginPolicy>>,
    request: Request,
    next: Next,
) -> Response {
    let host = match host(request.version(), request.uri(), request.headers()) {
        Ok(host) => host,
        Err(error) => return error.into_response(),
    };
    let origin = match policy.check(request.method(), host.as_deref(), request.headers()) {
        Ok(origin) => origin.cloned(),
        Err(error) => return error.into_response(),
    };
    if let Err(text) = check_encoding(request.uri()) {
        return ApiError::bad_request(text).into_response();
    }
    let Some(origin) = origin else {
        return next.run(request).await;
    };
    // Pages of an allowed origin may read the response.
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if is_preflight {
        let methods = HeaderValue::from_static("GET, PUT, POST, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let names = HeaderValue::from_static("Content-Type, Last-Event-ID");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    response
}

/// Returns the host that the client has named. Only HTTP/1.0 may omit it.
fn host(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, _) if version == Version::HTTP_10 => return Ok(None),
        _ => None,
    };
    let host = uri.authority().map(Authority::as_str).or(host);
    match host {
        Some(host) => Ok(Some(host.to_owned())),
        None => Err(ApiError::bad_request("there must be one Host")),
    }
}

/// Checks that percent-encodings are valid and UTF-8. Otherwise they would silently be replaced
/// later.
fn check_encoding(uri: &Uri) -> Result<(), String> {
    for (name, text) in [("path", Some(uri.path())), ("query", uri.query())] {
        let mut bytes = text.unwrap_or_default().bytes();
        let mut decoded = Vec::new();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                decoded.push(byte);
                continue;
            }
            let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
            match (digit(), digit()) {
                (Some(high), Some(low)) => {
                    decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                }
                _ => {
                    return Err(format!(
                        "a % in the {name} is not followed by two hexadecimal digits"
                    ));
                }
            }
        }
        if std::str::from_utf8(&decoded).is_err() {
            return Err(format!("the {name} is not UTF-8"));
        }
    }
    Ok(())
}
