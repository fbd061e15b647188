//! Waiting until the participants of a mesh have confirmed its subscriptions.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ump::Clock;

use crate::shared::Shared;

/// Whether the participants confirm the subscriptions in time. From
/// [`Mesh::settled`](crate::Mesh::settled).
#[must_use = "it waits when it is waited for or awaited"]
pub struct Settled<'a> {
    shared: &'a Shared,
    /// `None` if it is too far away to be told.
    until: Option<Instant>,
}

impl<'a> Settled<'a> {
    pub(crate) fn new(shared: &'a Shared, timeout: Duration) -> Self {
        let until = Instant::now().checked_add(timeout);
        Self { shared, until }
    }

    /// Blocks until all participants that are known have confirmed all subscriptions that there are
    /// then. Returns false if that takes longer than the timeout.
    #[must_use = "whether they have"]
    pub fn wait(self) -> bool {
        let confirmed = Confirmed::new(self.shared);
        let in_time = Clock::system().block_on(confirmed, self.until);
        in_time.is_some() || self.shared.unconfirmed() == 0
    }
}

impl<'a> IntoFuture for Settled<'a> {
    type Output = bool;
    type IntoFuture = SettledFuture<'a>;

    fn into_future(self) -> SettledFuture<'a> {
        SettledFuture {
            confirmed: Confirmed::new(self.shared),
            sleep: self.until.map(|at| Clock::system().sleep_until(at)),
        }
    }
}

impl fmt::Debug for Settled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settled")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// The future of [`Settled`]. Its output is that of [`Settled::wait`]. It needs no runtime. If the
/// system refuses the thread that wakes it at the timeout, it returns false at once.
///
/// # Cancel safety
/// It changes nothing: it can be dropped at any time.
#[must_use = "futures do nothing unless awaited"]
pub struct SettledFuture<'a> {
    confirmed: Confirmed<'a>,
    sleep: Option<ump::Sleep>,
}

impl Future for SettledFuture<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if Pin::new(&mut self.confirmed).poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        let Some(sleep) = &mut self.sleep else {
            return Poll::Pending;
        };
        Pin::new(sleep).poll(cx).map(|_| false)
    }
}

impl fmt::Debug for SettledFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettledFuture").finish_non_exhaustive()
    }
}

/// Is ready when everything is confirmed.
struct Confirmed<'a> {
    shared: &'a Shared,
    /// That of its waker, once it was polled.
    id: Option<u64>,
}

impl<'a> Confirmed<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self { shared, id: None }
    }
}

impl Future for Confirmed<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // First register, then look.
        let progress = &self.shared.progress;
        let id = progress.register(self.id, cx.waker().clone());
        self.id = Some(id);
        if self.shared.unconfirmed() > 0 {
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for Confirmed<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.progress.remove(id);
        }
    }
}
