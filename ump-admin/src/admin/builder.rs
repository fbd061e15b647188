//! The builder of the admin surface.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;
use ump::Client;
use ump_router::Router;
use ump_server::system::System;

use super::{error::ListenError, handle::AdminHandle};
use crate::{
    api::App,
    model::Sources,
    module::{Module, ModuleError, ModuleRequest},
    serve::{Address, AddressError, Limits, Token},
};

/// The admin surface of a program: what it shows, and what it allows. See the
/// [crate](crate).
///
/// ```
/// use std::time::Duration;
/// use ump_admin::Admin;
/// use ump_server::{system::{Attributes, System}, thread};
///
/// let system = System::builder()
///     .thread("store", Attributes::new(), |_| Ok(thread::reply(|n: u8| n)))
///     .start(Duration::from_secs(5))
///     .wait()?;
/// let admin = Admin::new().system(&system).listen("127.0.0.1:0")?;
/// println!("http://{}", admin.address());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "it is for `listen`"]
pub struct Admin {
    sources: Sources,
    modules: Vec<(String, Module)>,
    hosts: Vec<String>,
    token: Option<String>,
    limits: Limits,
    tells_systemd: bool,
}

impl Admin {
    /// The shortest token, in bytes.
    pub const MIN_TOKEN: usize = 16;

    /// Creates an admin surface that shows nothing but the process.
    pub fn new() -> Self {
        Self {
            sources: Sources::default(),
            modules: Vec::new(),
            hosts: Vec::new(),
            token: None,
            limits: Limits::default(),
            tells_systemd: false,
        }
    }

    /// Shows the components of a system. It does not keep the system alive. A second system
    /// replaces the first.
    pub fn system(mut self, system: &System) -> Self {
        self.sources.directory = Some(system.directory());
        self
    }

    /// Shows the subscriptions, servers, retained messages and links of a router. A second router
    /// replaces the first.
    ///
    /// It holds a clone of the router until it stops: a router that is to be closed by the drop of
    /// its last clone is closed after that.
    pub fn router(mut self, router: &Router) -> Self {
        self.sources.router = Some(router.clone());
        self
    }

    /// Shows a log: its sinks, and its last records if its builder was given a
    /// [tail](crate::log::Builder::tail). With the [token](Self::token), clients may replace its
    /// filter. A second log replaces the first.
    ///
    /// Records are looked at on the thread of the admin surface, never on one that makes or writes
    /// them.
    #[cfg(feature = "log")]
    pub fn log(mut self, log: &crate::log::LogHandle) -> Self {
        self.sources.log = Some(Arc::new(log.clone()));
        self
    }

    /// Shows a section of the program's own, such as the participants of a mesh: the value that
    /// `read` returns, as `/api/sections/NAME`. A second section with this name replaces the first.
    ///
    /// `read` is called for each request, on a thread of the admin surface, and may block for
    /// five seconds. If it takes longer or panics, the request ends in an error.
    pub fn section(
        mut self,
        name: impl Into<String>,
        read: impl Fn() -> Value + Send + Sync + 'static,
    ) -> Self {
        self.sources.sections.insert(name.into(), Arc::new(read));
        self
    }

    /// Adds a fact about the program to `/api/info`, such as its version or commit.
    pub fn info(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.sources.info.insert(name.into(), value.into());
        self
    }

    /// Adds the text of the program's own exporter of metrics to `/metrics`, such as
    /// `PrometheusHandle::render` of `metrics-exporter-prometheus`. It is called for each request,
    /// like that of a [section](Self::section).
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.sources.exporters.push(Arc::new(render));
        self
    }

    /// Turns requests at `/api/modules/NAME/…` into requests to a server: see
    /// [`module`](crate::module). It does not keep the server alive. A second module with this name
    /// replaces the first.
    pub fn module(
        mut self,
        name: impl Into<String>,
        client: &Client<ModuleRequest, Value, ModuleError>,
    ) -> Self {
        self.modules.push((name.into(), Module::new(client)));
        self
    }

    /// Allows actions to clients that send this token, in `Authorization: Bearer TOKEN`. Without a
    /// token the surface is read-only.
    ///
    /// At an address that other hosts can reach, a token is required, and reading needs it as well.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Allows another name in the header `Host`. IP addresses and `localhost` are always allowed:
    /// see [`serve`](crate#who-may-ask).
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Tells systemd of the state of the program, if it has asked for that (`Type=notify`,
    /// `WatchdogSec=`): `READY=1` as soon as `/ready` says so, `STATUS=` with the number of
    /// components in each state, `STOPPING=1` when all of them end or the admin surface stops, and
    /// `WATCHDOG=1` twice in the time of the watchdog as long as `/health` says that the program is
    /// healthy. A handler that hangs does not fail a component by itself: that is for the watchdog
    /// of the system.
    ///
    /// Components are looked at every 50 ms until they are up, and then once a second, or twice in
    /// the time of the watchdog if that is more often. Outside of systemd this does nothing.
    pub fn systemd(mut self) -> Self {
        self.tells_systemd = true;
        self
    }

    /// Sets the maximum number of connections; one more is closed at once. The default is 64.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.connections = connections.max(1);
        self
    }

    /// Sets the time for the head of a request, and for an idle connection. The default is 10 s.
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.limits.head = timeout;
        self
    }

    /// Sets the time for a request, from its head to the start of its response, and for a client
    /// that does not read its response. The default is 30 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.limits.request = timeout;
        self
    }

    /// Listens at an address: an [`Address`], or its text, `HOST:PORT` or `unix:PATH`. HOST is an
    /// IP address or `localhost`; port 0 takes a free port.
    ///
    /// It serves on a thread of its own, of lower priority on Linux, until the returned handle is
    /// dropped. A unix socket is for its user: its mode is 0600. The socket of a process that has
    /// died is replaced.
    ///
    /// # Errors
    /// - [`ListenError::Address`]: the text is not an address.
    /// - [`ListenError::NeedsToken`]: other hosts could connect, and there is no token.
    /// - [`ListenError::Token`]: the token is shorter than [`MIN_TOKEN`](Self::MIN_TOKEN), or has
    ///   characters other than visible ASCII.
    /// - [`ListenError::Bind`]: the address is in use, or the system refused it.
    /// - [`ListenError::Systemd`]: the socket that systemd has named takes nothing.
    /// - [`ListenError::Start`]: the thread, or its runtime, could not be started.
    pub fn listen(
        self,
        address: impl TryInto<Address, Error: Into<AddressError>>,
    ) -> Result<AdminHandle, ListenError> {
        let address = address.try_into().map_err(Into::into)?;
        let token = self.token.map(check_token).transpose()?;
        if !address.is_local() && token.is_none() {
            return Err(ListenError::NeedsToken(address.to_string()));
        }
        let modules = self.modules.into_iter().collect();
        let app = App::new(self.sources, modules, token.is_some());
        AdminHandle::start(
            app,
            (address, token, self.hosts),
            self.limits,
            self.tells_systemd,
        )
    }
}

fn check_token(token: String) -> Result<Token, ListenError> {
    if token.len() < Admin::MIN_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ListenError::Token);
    }
    Ok(Token::new(token))
}

impl Default for Admin {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
