//! What a program has of its links and listeners.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use ump::Clock;

use super::{
    access::Rules,
    address::Address,
    driver::{Command, DriverClient, DriverRequest, LinkId, ListenerId, Reply, is_locked_here},
    error::{LinkFailure, LinkSetupError},
    status::{LinkState, LinkStatus},
    watch::{LinkWatch, Watched},
};

use crate::link::session::Traffic;

/// Accepts links at an address. From [`Router::listen`](crate::Router::listen).
///
/// When it is dropped, no more links are accepted. Those that there are stay.
#[must_use = "nothing is accepted any more when this is dropped"]
pub struct Listener {
    id: ListenerId,
    address: Address,
    driver: Weak<DriverClient>,
}

impl Listener {
    pub(super) fn new(id: ListenerId, address: Address, driver: &Arc<DriverClient>) -> Self {
        let driver = Arc::downgrade(driver);
        Self {
            id,
            address,
            driver,
        }
    }

    /// Returns the address, with the port that the system has chosen for port 0.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Replaces the rules and quotas of the peers: for connections to come, and for the links that
    /// this listener has accepted. When it returns, no operation is checked by the former rules any
    /// more.
    ///
    /// Subscriptions and served topics that are not allowed any more are ended, and their owners
    /// are told. A peer that may do nothing any more is disconnected, with the reason *denied*.
    /// Requests that were allowed are answered.
    ///
    /// In code that links run (a codec, the waker of a task, the drop of a message) it returns at
    /// once, and the rules are replaced after that code.
    pub fn set_rules(&self, rules: Rules) {
        let Some(driver) = self.driver.upgrade() else {
            return;
        };
        let command = Command::SetRules(self.id, rules);
        if is_locked_here() {
            driver.post(command);
        } else {
            let _ = driver.ask(command); // an error if the loop has ended
        }
    }
}

impl Listener {
    /// Returns the links that it has accepted and that are not over, in the order in which they
    /// came, with their peers and what has gone over each. For operators: it asks the thread of the
    /// links, and takes time for each link.
    ///
    /// In code that links run (a codec, the waker of a task, the drop of a message) it cannot look,
    /// and returns none.
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        let Some(driver) = self.driver.upgrade() else {
            return Vec::new();
        };
        match driver.ask(Command::Links(self.id)) {
            Ok(Reply::Links(links)) => links,
            _ => Vec::new(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.post(Command::StopListening(self.id));
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A link to another router, which is made again when it is lost. From
/// [`Router::connect`](crate::Router::connect).
///
/// Dropping it closes the link: what waits is sent, and the other router is told. It does not wait
/// for that: see [`close`](Self::close).
#[must_use = "the link is closed when this is dropped"]
pub struct Link {
    id: LinkId,
    name: Arc<str>,
    watched: Arc<Watched>,
    clock: Clock,
    driver: Weak<DriverClient>,
}

impl Link {
    pub(super) fn new(
        id: LinkId,
        name: Arc<str>,
        (watched, clock): (Arc<Watched>, Clock),
        driver: &Arc<DriverClient>,
    ) -> Self {
        let driver = Arc::downgrade(driver);
        Self {
            id,
            name,
            watched,
            clock,
            driver,
        }
    }

    /// Returns the name of the link in [errors](crate::LinkError): its address.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what the link does now: whether it is open, and since when, or when it is made
    /// again.
    ///
    /// It is a look at what the thread of the links has noted last, and costs next to nothing.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.watched.state()
    }

    /// Watches what the link does: each state that it comes to. See [`LinkWatch`].
    #[must_use = "it is for `changed`"]
    pub fn watch(&self) -> LinkWatch {
        self.watched.watch(self.clock.clone())
    }

    /// Returns what the link does now, and what has gone over it. It asks the thread of the links.
    /// When the router is closed, the state is [`LinkState::Closed`], and all numbers are 0.
    ///
    /// In code that links run (a codec, the waker of a task, the drop of a message) it cannot ask:
    /// the state is that of [`state`](Self::state), and all numbers are 0.
    #[must_use]
    pub fn status(&self) -> LinkStatus {
        if let Some(driver) = self.driver.upgrade() {
            if let Ok(Reply::Status(status)) = driver.ask(Command::Status(self.id)) {
                return *status;
            }
        }
        LinkStatus {
            name: Arc::clone(&self.name),
            state: self.unasked_state(),
            received: Traffic::default(),
            sent: Traffic::default(),
            queued_bytes: 0,
        }
    }

    /// Returns why the link is not open: the reason of the last attempt to make it, or of its end.
    /// `None` if it is open, if the first attempt is under way, or if the router was closed.
    /// In code that links run (a codec, the waker of a task, the drop of a message) it cannot ask,
    /// and returns `None`.
    #[must_use]
    pub fn last_failure(&self) -> Option<LinkFailure> {
        let driver = self.driver.upgrade()?;
        match driver.ask(Command::LastFailure(self.id)) {
            Ok(Reply::LastFailure(failure)) => failure,
            _ => None,
        }
    }

    /// Waits until the link is open, when the returned value is waited for (`.wait()`) or awaited.
    /// It is ready at once if the link is open already.
    ///
    /// A link is open when the other router has told what it has. Then requests find its servers,
    /// publishers find its subscriptions, and a topic that it serves is taken.
    pub fn opened(&self) -> Opened {
        Opened(self.request(Command::AwaitOpen(self.id)))
    }

    /// Closes the link, and waits until that is done, when the returned value is waited for
    /// (`.wait()`) or awaited.
    ///
    /// Call it before a program ends: when a link is dropped, the thread of the links still has to
    /// send what waits.
    pub fn close(self) -> Closing {
        Closing::new(self.request(Command::AwaitClosed(self.id)), Some(self))
    }

    /// Returns the state for a status that could not be asked for.
    fn unasked_state(&self) -> LinkState {
        if is_locked_here() {
            self.state()
        } else {
            LinkState::Closed
        }
    }

    fn request(&self, command: Command) -> Option<DriverRequest> {
        Some(self.driver.upgrade()?.request(command))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.post(Command::CloseLink(self.id));
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Waits until a link is open: call [`wait`](Self::wait) or `.await` it. From [`Link::opened`].
#[must_use = "it waits when `wait` is called, or when it is awaited"]
#[derive(Debug)]
pub struct Opened(Option<DriverRequest>);

impl Opened {
    /// Limits the wait to this time from the beginning of the wait.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.map(|request| request.timeout(timeout)))
    }

    /// Blocks until the link is open. Returns `false` if the time is over before, or if the link
    /// or its router was closed; and at once in code that links run (a codec, the waker of a task,
    /// the drop of a message), for which they would wait.
    #[must_use = "it may not be open"]
    pub fn wait(self) -> bool {
        !is_locked_here() && self.0.is_some_and(|request| request.wait().is_ok())
    }
}

impl IntoFuture for Opened {
    type Output = bool;
    type IntoFuture = OpenedFuture;

    fn into_future(self) -> OpenedFuture {
        OpenedFuture(Answer::new(self.0))
    }
}

/// The future of [`Opened`]. Its output is `false` if the time is over before the link is open, or
/// if the link or its router was closed.
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct OpenedFuture(Answer);

impl Future for OpenedFuture {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// Closes one link or all, and waits for it: call [`wait`](Self::wait) or `.await` it. From
/// [`Link::close`] and [`Router::close_links`](crate::Router::close_links).
///
/// What waits is sent, and then a goodbye, which the other router answers when it has received all
/// of it. It has 5 seconds for that.
#[must_use = "it waits when `wait` is called, or when it is awaited"]
#[derive(Debug)]
pub struct Closing {
    request: Option<DriverRequest>,
    /// It is closed, too, if nobody waits.
    link: Option<Link>,
}

impl Closing {
    pub(super) fn new(request: Option<DriverRequest>, link: Option<Link>) -> Self {
        Self { request, link }
    }

    /// Limits the wait to this time from the beginning of the wait. The closing goes on after it.
    pub fn timeout(self, timeout: Duration) -> Self {
        let request = self.request.map(|request| request.timeout(timeout));
        Self { request, ..self }
    }

    /// Blocks until it is closed. Returns whether the other router has received all that was sent
    /// to it; `false` if that is not known, as the time was over before, the link was lost or not
    /// open, or the router was closed.
    ///
    /// In code that links run (a codec, the waker of a task, the drop of a message) it returns
    /// `false` at once, as they would wait for that code. A link is closed nevertheless, after it;
    /// to close all, call this on another thread, or await it on a task.
    #[allow(clippy::must_use_candidate, reason = "who ends may not care")]
    pub fn wait(self) -> bool {
        !is_locked_here() && self.request.is_some_and(|request| request.wait().is_ok())
    }
}

impl IntoFuture for Closing {
    type Output = bool;
    type IntoFuture = ClosingFuture;

    fn into_future(self) -> ClosingFuture {
        ClosingFuture {
            answer: Answer::new(self.request),
            _link: self.link,
        }
    }
}

/// The future of [`Closing`]. Its output is that of [`Closing::wait`]. If it is dropped before, a
/// link is closed nevertheless.
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct ClosingFuture {
    answer: Answer,
    _link: Option<Link>,
}

impl Future for ClosingFuture {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        Pin::new(&mut self.answer).poll(cx)
    }
}

/// Whether the loop of the links answers a request, and not with an error.
struct Answer(Option<ump::RequestFuture<'static, Command, Reply, LinkSetupError>>);

impl Answer {
    fn new(request: Option<DriverRequest>) -> Self {
        Self(request.map(ump::Request::into_future))
    }
}

impl Future for Answer {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        match &mut self.0 {
            Some(request) => Pin::new(request).poll(cx).map(|answer| answer.is_ok()),
            None => Poll::Ready(false),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(..)")
    }
}
