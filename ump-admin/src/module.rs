//! Modules of the program: requests below `/api/modules/NAME` become requests to a server.
//!
//! | HTTP | operation |
//! |---|---|
//! | `GET /api/modules/routes/10.0.0.0` | [`Show`](Operation::Show) `10.0.0.0` |
//! | `POST /api/modules/routes` with a body of JSON | [`Add`](Operation::Add), path empty |
//! | `PUT …` with a body of JSON | [`Set`](Operation::Set) |
//! | `DELETE …` | [`Delete`](Operation::Delete) |
//!
//! All but `GET` are actions, which need a token. The deadline is that of the header `Prefer:
//! wait=SECONDS` (RFC 7240), from 1 to 25, and otherwise 5 seconds. A full queue is an error at
//! once.
//!
//! | outcome | status |
//! |---|---|
//! | a reply | 200; 204 if it is null |
//! | [`ModuleError::NotFound`] | 404 |
//! | [`ModuleError::Invalid`] | 422 |
//! | [`ModuleError::Conflict`] | 409 |
//! | [`ModuleError::Unsupported`] | 405 |
//! | [`ModuleError::Failed`] | 500 |
//! | the queue is full, or the server is gone: not executed | 503 with `Retry-After` |
//! | the deadline passed in the queue (not executed), or later (perhaps executed) | 504 |
//! | the handler panicked or dropped the request | 500 |
//!
//! Each error has a body of `application/problem+json`. That of an outcome says in `executed`
//! whether the request was executed: `no`, `perhaps` or `yes`.
//!
//! ```
//! use std::collections::BTreeMap;
//! use ump_admin::{Admin, module::{ModuleError, ModuleRequest, Operation}, serde_json::{Value, json}};
//! use ump_server::thread;
//!
//! let mut routes = BTreeMap::<String, Value>::new();
//! let (client, _) = thread::serve(thread::answer(move |request: ModuleRequest| -> Result<Value, ModuleError> {
//!     let ModuleRequest { operation, path, body, .. } = request;
//!     match operation {
//!         Operation::Show if path.is_empty() => Ok(json!(routes)),
//!         Operation::Show => routes.get(&path).cloned().ok_or(ModuleError::NotFound),
//!         Operation::Set => Ok(routes.insert(path, body).unwrap_or_default()),
//!         Operation::Delete => routes.remove(&path).map(|_| Value::Null).ok_or(ModuleError::NotFound),
//!         _ => Err(ModuleError::Unsupported),
//!     }
//! }));
//! let admin = Admin::new().module("routes", &client).token("a secret of yours").listen("127.0.0.1:0");
//! # let _ = admin;
//! ```

use std::{fmt, time::Duration};

use serde_json::Value;
use ump::{Client, RequestError, WeakClient};

/// A request to a module.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModuleRequest {
    /// What is to be done.
    pub operation: Operation,
    /// The path below that of the module, decoded, without a slash at its ends. Perhaps empty.
    pub path: String,
    /// The text after `?`, as it was sent. Perhaps empty.
    pub query: String,
    /// The body; null if there is none.
    pub body: Value,
}

/// What a request to a module is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `GET`: return a value, and change nothing.
    Show,
    /// `POST`: add a value.
    Add,
    /// `PUT`: set the value of a path.
    Set,
    /// `DELETE`: remove what is at a path.
    Delete,
}

/// The reason why a module refuses a request.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModuleError {
    /// There is nothing at this path.
    #[error("there is nothing at this path")]
    NotFound,
    /// The request makes no sense, for this reason.
    #[error("{0}")]
    Invalid(String),
    /// What is there does not allow it, for this reason.
    #[error("{0}")]
    Conflict(String),
    /// The module does not have this operation here.
    #[error("the module does not have this operation here")]
    Unsupported,
    /// It failed, for this reason.
    #[error("{0}")]
    Failed(String),
}

/// The server behind a module. It is not kept alive.
pub(crate) struct Module(WeakClient<ModuleRequest, Value, ModuleError>);

impl Module {
    pub(crate) fn new(client: &Client<ModuleRequest, Value, ModuleError>) -> Self {
        Self(client.weak())
    }

    pub(crate) async fn request(
        &self,
        request: ModuleRequest,
        timeout: Duration,
    ) -> Result<Value, RequestError<(), ModuleError>> {
        let Some(client) = self.0.upgrade() else {
            return Err(RequestError::ServerDisappeared(()));
        };
        let outcome = client.request(request).timeout(timeout).if_room().await;
        outcome.map_err(RequestError::without_message)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").finish_non_exhaustive()
    }
}
