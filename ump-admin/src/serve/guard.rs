//! Who may ask for what.
//!
//! A browser lets any page send requests to this machine, with its origin in `Origin` and
//! `Sec-Fetch-Site`. A page can also let its own name resolve to this machine (DNS rebinding): then
//! only the name in `Host` differs. So these headers are checked first, then the token.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use subtle::ConstantTimeEq as _;

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: it reveals nothing.
    Open,
    /// A token, if other hosts can connect.
    Read,
    /// A token.
    Act,
}

/// The secret of those who may act.
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(token: String) -> Self {
        Self(token)
    }

    /// Compares in a time that depends on the lengths only.
    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// The rules for requests.
pub(crate) struct Guard {
    token: Option<Token>,
    reads_need_token: bool,
    /// In lower case.
    hosts: Vec<String>,
}

/// A request that is refused, with the reason.
pub(crate) type Refusal = (StatusCode, &'static str);

impl Guard {
    pub(crate) fn new(token: Option<Token>, reads_need_token: bool, hosts: Vec<String>) -> Self {
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase());
        Self {
            token,
            reads_need_token,
            hosts: hosts.chain(["localhost".to_owned()]).collect(),
        }
    }

    /// Checks from which page a request comes.
    pub(crate) fn check_site(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let host = self.check_host(uri, headers)?;
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let origin = origin
                .strip_prefix("http://")
                .or(origin.strip_prefix("https://"));
            let is_own = origin
                .zip(host)
                .is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host));
            return if is_own { Ok(()) } else { Err(OTHER_ORIGIN) };
        }
        let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        let is_followed = method == Method::GET && text("sec-fetch-mode") == Some(b"navigate");
        match text("sec-fetch-site") {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) if is_followed => Ok(()),
            Some(_) => Err(OTHER_ORIGIN),
        }
    }

    /// Returns the host, which is an IP address or a name that is allowed. None, as in HTTP/1.0,
    /// is allowed: a browser always sends it.
    fn check_host<'a>(
        &self,
        uri: &'a Uri,
        headers: &'a HeaderMap,
    ) -> Result<Option<&'a str>, Refusal> {
        let mut all = headers.get_all(header::HOST).iter();
        let host = match (uri.authority(), all.next(), all.next()) {
            (_, _, Some(_)) => return Err((StatusCode::BAD_REQUEST, "more than one Host")),
            (Some(authority), ..) => authority.as_str(),
            (None, Some(host), None) => host.to_str().unwrap_or_default(),
            (None, None, None) => return Ok(None),
        };
        let name = without_port(host);
        let is_ip = |name: &str| name.parse::<IpAddr>().is_ok();
        let is_known = self.hosts.iter().any(|it| it.eq_ignore_ascii_case(name));
        if is_known || is_ip(name.trim_start_matches('[').trim_end_matches(']')) {
            Ok(Some(host))
        } else {
            Err((
                StatusCode::MISDIRECTED_REQUEST,
                "this name in Host is not allowed",
            ))
        }
    }

    /// Checks the token that a route needs.
    pub(crate) fn check_token(&self, access: Access, headers: &HeaderMap) -> Result<(), Refusal> {
        let needs_token = match access {
            Access::Open => false,
            Access::Read => self.reads_need_token,
            Access::Act => true,
        };
        if !needs_token {
            return Ok(());
        }
        let Some(token) = &self.token else {
            return Err((
                StatusCode::FORBIDDEN,
                "it is read-only: the program has set no token",
            ));
        };
        let sent = headers.get(header::AUTHORIZATION);
        let sent = sent
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        match sent.split_once(' ') {
            Some((scheme, sent)) if scheme.eq_ignore_ascii_case("bearer") && token.is(sent) => {
                Ok(())
            }
            _ => Err((
                StatusCode::UNAUTHORIZED,
                "the token is missing or wrong: send Authorization: Bearer TOKEN",
            )),
        }
    }
}

const OTHER_ORIGIN: Refusal = (StatusCode::FORBIDDEN, "requests of other sites are refused");

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // Not a colon within the brackets of an IPv6 address.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}
