//! The state of a link as it changes.
//!
//! The loop of the links stores each state with a number, and wakes those that watch. A watch has
//! received a state if it has seen its number, so it misses the last one never, and older ones if
//! they change faster than it looks.
//!
//! # Invariants
//!
//! 1. While a watch sleeps, its waker is stored under its key. Whoever stores a state takes all
//!    wakers out, and wakes them.
//! 2. A watch that is dropped, or whose future is dropped, has no waker here.
//! 3. No user code runs under the lock: wakers are cloned before, woken and dropped after.

use std::{
    collections::HashMap,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use futures_core::{FusedStream, Stream};
use ump::{Clock, coop::Coop, internal::catch_user_panic};

use super::status::LinkState;
use crate::{deferred::DeferredWakes, sync::Mutex};

/// The state of a link, for those that watch it.
pub(super) struct Watched(Mutex<Current>);

struct Current {
    state: LinkState,
    /// How often it was stored. At least 1.
    version: u64,
    wakers: HashMap<u64, Waker>,
    next_key: u64,
}

/// Stores the state of a link. Dropped, it stores that the link is closed.
pub(super) struct StatePublisher(Arc<Watched>);

impl StatePublisher {
    pub(super) fn new() -> Self {
        Self(Arc::new(Watched(Mutex::new(Current {
            state: LinkState::Connecting,
            version: 1,
            wakers: HashMap::new(),
            next_key: 0,
        }))))
    }

    pub(super) fn watched(&self) -> &Arc<Watched> {
        &self.0
    }

    pub(super) fn publish(&self, state: LinkState) {
        let mut current = self.0.0.lock();
        let former = std::mem::replace(&mut current.state, state);
        current.version += 1;
        let wakers = std::mem::take(&mut current.wakers);
        drop(current);
        drop(former);
        wakers.into_values().collect::<DeferredWakes>().wake_all();
    }
}

impl Drop for StatePublisher {
    fn drop(&mut self) {
        self.publish(LinkState::Closed);
    }
}

impl Watched {
    pub(super) fn state(&self) -> LinkState {
        self.0.lock().state.clone()
    }

    pub(super) fn watch(self: &Arc<Self>, clock: Clock) -> LinkWatch {
        let mut current = self.0.lock();
        let key = current.next_key;
        current.next_key += 1;
        drop(current);
        LinkWatch {
            watched: Arc::clone(self),
            key,
            clock,
            seen: 0,
            is_over: false,
            coop: Coop::new(),
        }
    }

    fn poll_changed(
        &self,
        key: u64,
        seen: &mut u64,
        cx: Option<&Context<'_>>,
    ) -> Poll<Option<LinkState>> {
        let changed = self.0.lock().take_change(seen);
        let (Poll::Pending, Some(cx)) = (&changed, cx) else {
            return changed;
        };
        let waker = cx.waker().clone();
        let mut current = self.0.lock();
        let changed = current.take_change(seen);
        let unneeded = if changed.is_pending() {
            current.wakers.insert(key, waker)
        } else {
            Some(waker)
        };
        drop(current);
        catch_user_panic(|| drop(unneeded));
        changed
    }

    fn remove_waker(&self, key: u64) {
        let waker = self.0.lock().wakers.remove(&key);
        catch_user_panic(|| drop(waker));
    }
}

impl Current {
    /// Takes the state, if it was not seen. There is none after the last.
    fn take_change(&self, seen: &mut u64) -> Poll<Option<LinkState>> {
        if self.version != *seen {
            *seen = self.version;
            Poll::Ready(Some(self.state.clone()))
        } else if self.state == LinkState::Closed {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }
}

/// Tells what a link does, each time that this changes. From [`Link::watch`](super::Link::watch).
///
/// ```
/// # use ump_router::{Router, link::sockets::LinkState};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let hub = Router::new();
/// # let listener = hub.listen("tcp:127.0.0.1:0")?;
/// # let router = Router::new();
/// let link = router.connect(listener.address())?;
/// let mut watch = link.watch();
/// while let Some(state) = watch.changed().wait() { // or `.await`
///     match state {
///         LinkState::Open { identity, .. } => {
///             println!("linked to {identity}");
/// #           router.close();
///         }
///         LinkState::Waiting { failure: Some(failure), .. } => println!("not linked: {failure}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// - The first change is the state at that time.
/// - States that change faster than they are received are left out, and the last one is received.
/// - The last one is [`LinkState::Closed`]. After it, there are no more changes.
/// - A watch keeps neither the link nor the router alive. Its waker is dropped with it.
pub struct LinkWatch {
    watched: Arc<Watched>,
    key: u64,
    clock: Clock,
    /// The version that was received last.
    seen: u64,
    /// The stream has returned the end.
    is_over: bool,
    coop: Coop,
}

impl LinkWatch {
    /// Returns the state now, whether it was received or not.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.watched.state()
    }

    /// Waits for the next change, when the returned value is waited for (`.wait()`) or awaited.
    pub fn changed(&mut self) -> LinkChanged<'_> {
        LinkChanged {
            watch: self,
            is_registered: false,
        }
    }

    /// Returns the state if it has changed since the last that was received.
    #[must_use = "the state counts as received"]
    pub fn try_changed(&mut self) -> Option<LinkState> {
        let changed = self.watched.poll_changed(self.key, &mut self.seen, None);
        match changed {
            Poll::Ready(changed) => changed,
            Poll::Pending => None,
        }
    }

    /// Polls for a change. `None` is the end: the link is closed, and that was received. If there
    /// is no change, the task is woken when there is one.
    ///
    /// Of two tasks that poll, only the later one is woken.
    pub fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Option<LinkState>> {
        let Self {
            watched,
            key,
            seen,
            coop,
            ..
        } = self;
        coop.poll(cx, |cx| watched.poll_changed(*key, seen, Some(cx)))
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> Option<LinkState> {
        let Self {
            watched,
            key,
            clock,
            seen,
            ..
        } = self;
        let changed = poll_fn(|cx| watched.poll_changed(*key, seen, Some(cx)));
        let changed = clock.block_on(changed, deadline);
        if changed.is_none() {
            watched.remove_waker(*key);
        }
        changed.flatten()
    }
}

/// Yields each change. It ends when the link is closed.
impl Stream for LinkWatch {
    type Item = LinkState;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LinkState>> {
        let changed = ready!(self.poll_changed(cx));
        self.is_over = changed.is_none();
        Poll::Ready(changed)
    }
}

impl FusedStream for LinkWatch {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

impl Drop for LinkWatch {
    fn drop(&mut self) {
        self.watched.remove_waker(self.key);
    }
}

impl fmt::Debug for LinkWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkWatch")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Waits for one change of a link: call [`wait`](Self::wait) or `.await` it. From
/// [`LinkWatch::changed`].
///
/// # Cancel safety
/// A future that is dropped has received nothing, and leaves no waker behind.
#[must_use = "nothing is received before `wait` or `.await`"]
#[derive(Debug)]
pub struct LinkChanged<'a> {
    watch: &'a mut LinkWatch,
    /// The link may have a waker of this future.
    is_registered: bool,
}

impl LinkChanged<'_> {
    /// Blocks until there is a change. Returns `None` if the link is closed, and that was received
    /// before.
    #[must_use = "the state counts as received"]
    pub fn wait(self) -> Option<LinkState> {
        self.watch.wait_until(None)
    }

    /// Blocks until there is a change, or for `timeout` at most. Returns `None` when the time is
    /// over, and if the link is closed.
    #[must_use = "the state counts as received"]
    pub fn wait_timeout(self, timeout: Duration) -> Option<LinkState> {
        let deadline = self.watch.clock.now().checked_add(timeout);
        self.watch.wait_until(deadline)
    }

    /// Blocks until there is a change, or until `deadline` by the router's clock. Returns `None`
    /// after the deadline, and if the link is closed.
    #[must_use = "the state counts as received"]
    pub fn wait_deadline(self, deadline: Instant) -> Option<LinkState> {
        self.watch.wait_until(Some(deadline))
    }
}

impl Future for LinkChanged<'_> {
    type Output = Option<LinkState>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let changed = self.watch.poll_changed(cx);
        self.is_registered = changed.is_pending();
        changed
    }
}

impl Drop for LinkChanged<'_> {
    fn drop(&mut self) {
        if self.is_registered {
            self.watch.watched.remove_waker(self.watch.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
        thread,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn start() -> (StatePublisher, LinkWatch) {
        let publisher = StatePublisher::new();
        let watch = publisher.watched().watch(Clock::system());
        (publisher, watch)
    }

    #[test]
    fn the_last_state_is_received_and_earlier_ones_may_not_be() {
        let (publisher, mut watch) = start();
        assert_eq!(watch.try_changed(), Some(LinkState::Connecting));
        assert_eq!(watch.try_changed(), None);
        publisher.publish(LinkState::Handshake);
        publisher.publish(LinkState::Closing);
        assert_eq!(watch.try_changed(), Some(LinkState::Closing));
        assert_eq!(watch.try_changed(), None);
        let mut late = publisher.watched().watch(Clock::system());
        drop(publisher);
        assert_eq!(watch.state(), LinkState::Closed);
        assert_eq!(watch.changed().wait(), Some(LinkState::Closed));
        assert_eq!(watch.changed().wait(), None);
        assert_eq!(late.try_changed(), Some(LinkState::Closed));
        assert_eq!(late.try_changed(), None);
    }

    #[test]
    fn each_watch_is_woken() {
        let (publisher, mut one) = start();
        let mut two = publisher.watched().watch(Clock::system());
        let counts = [(); 2].map(|()| Arc::new(Count::default()));
        for (watch, count) in [&mut one, &mut two].into_iter().zip(&counts) {
            let waker = Waker::from(Arc::clone(count));
            let mut cx = Context::from_waker(&waker);
            assert!(watch.poll_changed(&mut cx).is_ready());
            assert!(watch.poll_changed(&mut cx).is_pending());
        }
        publisher.publish(LinkState::Handshake);
        publisher.publish(LinkState::Closing);
        for count in &counts {
            assert_eq!(count.0.load(Ordering::Relaxed), 1);
        }
    }

    #[test]
    fn what_is_dropped_leaves_no_waker() {
        let (publisher, mut watch) = start();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        assert!(watch.try_changed().is_some());
        let mut changed = watch.changed();
        assert!(Pin::new(&mut changed).poll(&mut cx).is_pending());
        assert_eq!(Arc::strong_count(&count), 3);
        drop(changed);
        assert_eq!(Arc::strong_count(&count), 2);
        assert!(watch.poll_changed(&mut cx).is_pending());
        assert_eq!(Arc::strong_count(&count), 3);
        drop(watch);
        assert_eq!(Arc::strong_count(&count), 2);
        assert!(publisher.watched().0.lock().wakers.is_empty());
    }

    #[test]
    fn a_wait_ends_with_a_change_or_its_time() {
        let (publisher, mut watch) = start();
        assert!(watch.try_changed().is_some());
        assert_eq!(watch.changed().wait_timeout(Duration::ZERO), None);
        assert_eq!(watch.changed().wait_deadline(Instant::now()), None);
        assert!(publisher.watched().0.lock().wakers.is_empty());
        let waiting = thread::spawn(move || watch.changed().wait());
        publisher.publish(LinkState::Handshake);
        assert_eq!(waiting.join().unwrap(), Some(LinkState::Handshake));
    }
}
