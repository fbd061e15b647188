//! The components of a running system.
//!
//! The status of an instance has three sources: the statistics of its channel, the end of its loop,
//! and a record that its factory and its supervisor write. Nothing keeps a status up to date: it is
//! computed from these sources when a caller requests it.

use std::{
    any::{Any, type_name},
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::{Arc, OnceLock, atomic::AtomicBool},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use ump::{Client, Clock, Stats, hooks::Cycle, internal::timeout_at};

use crate::system::{
    supervise::failures::Failures, supervise::instance_record::InstanceRecord,
    supervise::supervision::ForEachInstance, supervise::supervision::Supervision,
};
use crate::{
    JoinError, JoinHandle, LoopStartError, Stopper,
    catch::catch_user_panic,
    sync::Mutex,
    wait::wakers::{Registration, Wakers, discard, wake_all},
};

/// The state that a system shares with its directories and its operations.
pub(in crate::system) struct Inner {
    /// The components, in the order of definition.
    pub(in crate::system) components: Box<[Component]>,
    /// The order of start, as indices of `components`.
    pub(in crate::system) order: Box<[usize]>,
    pub(in crate::system) clock: Clock,
    /// The time that rejected instances have to end after the deadline of a stop.
    pub(in crate::system) grace: Duration,
    pub(in crate::system) failures: Arc<Failures>,
}

pub(in crate::system) struct Component {
    pub(in crate::system) name: Arc<str>,
    pub(in crate::system) needs: Arc<[String]>,
    pub(in crate::system) supervision: Option<Arc<Supervision>>,
    /// All instances, once they are launched. If a launch failed, there are fewer instances than
    /// the attributes require.
    pub(in crate::system) instances: OnceLock<Box<[Instance]>>,
    /// Whether all instances have started.
    pub(in crate::system) is_up: AtomicBool,
}

impl Inner {
    pub(in crate::system) fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|known| *known.name == *name)
    }

    /// Returns the launched components with their instances, dependents before the components that
    /// they need.
    pub(in crate::system) fn last_first(&self) -> impl Iterator<Item = (&Component, &[Instance])> {
        self.order.iter().rev().filter_map(|&number| {
            let component = &self.components[number];
            Some((component, &**component.instances.get()?))
        })
    }
}

impl ForEachInstance for Inner {
    fn for_each_instance(&self, each: &mut dyn FnMut(&Stopper, &InstanceRecord)) {
        for (_, instances) in self.last_first() {
            for instance in instances {
                each(&instance.stopper, &instance.record);
            }
        }
    }
}

pub(in crate::system) struct Instance {
    pub(in crate::system) stopper: Stopper,
    pub(in crate::system) client: Box<dyn AnyClient>,
    pub(in crate::system) record: Arc<InstanceRecord>,
    end: Mutex<Slot>,
}

/// The place of a loop's end while no future polls it.
struct Slot {
    end: End,
    /// The wakers of the futures that wait until another future returns the end.
    waiting: Wakers,
}

/// The state of a loop's end.
enum End {
    Going(Box<dyn Ending>),
    /// A future has taken the end out, to poll it.
    Awaited,
    Ended(Result<(), JoinError>),
}

impl Instance {
    pub(in crate::system) fn new<S, R, E, RV>(
        client: Client<S, R, E>,
        handle: JoinHandle<RV>,
        record: Arc<InstanceRecord>,
    ) -> Self
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        RV: Send + 'static,
    {
        Self {
            stopper: handle.stopper(),
            client: Box::new(client),
            record,
            end: Mutex::new(Slot {
                end: End::Going(Box::new(handle)),
                waiting: Wakers::default(),
            }),
        }
    }

    /// Resolves when the instance has started, or has ended before that.
    pub(in crate::system) async fn started(&self) -> Result<(), LoopStartError> {
        let mut lent = self.lend().await;
        poll_fn(|cx| match &mut lent.end {
            End::Going(ending) => ending.poll_started(cx),
            End::Awaited => unreachable!("this future has taken the end out"),
            End::Ended(_) => Poll::Ready(Err(LoopStartError::Ended)),
        })
        .await
    }

    /// Resolves when the instance has ended. Several futures may wait for that.
    pub(in crate::system) async fn ended(&self) -> Result<(), JoinError> {
        let mut lent = self.lend().await;
        let (outcome, rest) = poll_fn(|cx| match &mut lent.end {
            End::Going(ending) => ending.poll_ended(cx),
            End::Awaited => unreachable!("this future has taken the end out"),
            End::Ended(outcome) => Poll::Ready((outcome.clone(), None)),
        })
        .await;
        lent.end = End::Ended(outcome.clone());
        catch_user_panic(|| drop(rest));
        outcome
    }

    /// Resolves when the instance has ended, or to `None` at the deadline.
    ///
    /// # Errors
    /// Returns a [`Cycle`] if the wait would deadlock.
    pub(in crate::system) async fn ended_by(
        &self,
        clock: &Clock,
        deadline: Option<Instant>,
    ) -> Result<Option<Result<(), JoinError>>, Cycle> {
        let Some(mut lent) = timeout_at(clock, deadline, self.lend()).await else {
            return Ok(None);
        };
        let mut late = deadline.map(|deadline| clock.sleep_until(deadline));
        let by_then = poll_fn(|cx| {
            // Both waits register the same waker, so a watcher knows that the task waits for
            // nothing else.
            let exchanged = match &mut lent.end {
                End::Going(ending) => match ending.announce(cx.waker(), deadline, clock) {
                    Ok(exchanged) => exchanged,
                    Err(cycle) => return Poll::Ready(Err(cycle)),
                },
                End::Awaited | End::Ended(_) => None,
            };
            let mut cx = Context::from_waker(exchanged.as_ref().unwrap_or(cx.waker()));
            let ended = match &mut lent.end {
                End::Going(ending) => ending.poll_ended(&mut cx),
                End::Awaited => unreachable!("this future has taken the end out"),
                End::Ended(outcome) => Poll::Ready((outcome.clone(), None)),
            };
            if let Poll::Ready(ended) = ended {
                return Poll::Ready(Ok(Some(ended)));
            }
            // If the operating system refuses the timer's thread, nothing would wake this future at
            // the deadline. Then the sleep returns an error, which counts as the deadline: that is
            // better than an endless wait.
            match &mut late {
                Some(late) => Pin::new(late).poll(&mut cx).map(|_| Ok(None)),
                None => Poll::Pending,
            }
        });
        let Some((outcome, rest)) = by_then.await? else {
            return Ok(None);
        };
        lent.end = End::Ended(outcome.clone());
        catch_user_panic(|| drop(rest));
        Ok(Some(outcome))
    }

    /// Returns the outcome if the instance has ended. Returns `None` while a future polls the end.
    pub(in crate::system) fn outcome(&self) -> Option<Result<(), JoinError>> {
        let mut slot = self.end.lock();
        let outcome = match &mut slot.end {
            End::Going(ending) if ending.is_finished() => {
                let mut cx = Context::from_waker(Waker::noop());
                ending.poll_ended(&mut cx)
            }
            End::Ended(outcome) => Poll::Ready((outcome.clone(), None)),
            End::Going(_) | End::Awaited => Poll::Pending,
        };
        let Poll::Ready((outcome, rest)) = outcome else {
            return None;
        };
        slot.end = End::Ended(outcome.clone());
        drop(slot);
        catch_user_panic(|| drop(rest));
        Some(outcome)
    }

    /// Takes the end out of the lock, because polling it runs user code. If another future has
    /// taken it, waits for that future.
    async fn lend(&self) -> Lent<'_> {
        let mut waits = Waits {
            home: &self.end,
            own: Registration::default(),
        };
        let end = poll_fn(|cx| waits.look(cx.waker())).await;
        Lent {
            end,
            home: &self.end,
        }
    }
}

/// A future's wait until the end of a loop is in its place.
struct Waits<'a> {
    home: &'a Mutex<Slot>,
    own: Registration,
}

impl Waits<'_> {
    /// Takes the end, or registers the waker if another future has taken it.
    fn look(&mut self, waker: &Waker) -> Poll<End> {
        let waker = waker.clone();
        let mut slot = self.home.lock();
        let (looked, unused) = match &slot.end {
            End::Awaited => {
                let unused = slot.waiting.register(&mut self.own, waker);
                (Poll::Pending, unused)
            }
            // The outcome stays in its place, where other futures can read it.
            End::Ended(outcome) => (Poll::Ready(End::Ended(outcome.clone())), Some(waker)),
            End::Going(_) => {
                let end = mem::replace(&mut slot.end, End::Awaited);
                (Poll::Ready(end), Some(waker))
            }
        };
        drop(slot);
        discard(unused);
        looked
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if self.own.is_made() {
            let own = self.home.lock().waiting.remove(&mut self.own);
            discard(own);
        }
    }
}

/// The end may contain the result of the loop. Its drop is user code, so it runs outside the lock.
impl Drop for Instance {
    fn drop(&mut self) {
        let end = mem::replace(&mut self.end.lock().end, End::Awaited);
        catch_user_panic(|| drop(end));
    }
}

/// The end of a loop that a future has taken out. Its drop returns the end to its place, and wakes
/// the futures that wait for it.
struct Lent<'a> {
    end: End,
    home: &'a Mutex<Slot>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !matches!(self.end, End::Awaited) {
            let mut slot = self.home.lock();
            slot.end = mem::replace(&mut self.end, End::Awaited);
            let waiting = slot.waiting.take_all();
            drop(slot);
            wake_all(waiting);
        }
    }
}

/// The result of a loop. Nothing reads it, but its drop is user code.
type Rest = Option<Box<dyn Any + Send>>;

/// The end of a loop, with any type of result.
trait Ending: Send {
    fn poll_started(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LoopStartError>>;
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<(Result<(), JoinError>, Rest)>;
    fn is_finished(&self) -> bool;
    /// See [`JoinHandle::announce`].
    fn announce(
        &mut self,
        waker: &Waker,
        deadline: Option<Instant>,
        clock: &Clock,
    ) -> Result<Option<Waker>, Cycle>;
}

impl<RV: Send + 'static> Ending for JoinHandle<RV> {
    fn poll_started(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LoopStartError>> {
        // `started` is cancel safe: it can be dropped and called again.
        pin!(self.started()).poll(cx)
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<(Result<(), JoinError>, Rest)> {
        Pin::new(self).poll(cx).map(|outcome| match outcome {
            Ok(rv) => (Ok(()), Some(Box::new(rv) as Box<dyn Any + Send>)),
            Err(error) => (Err(error), None),
        })
    }

    fn is_finished(&self) -> bool {
        self.is_finished()
    }

    fn announce(
        &mut self,
        waker: &Waker,
        deadline: Option<Instant>,
        clock: &Clock,
    ) -> Result<Option<Waker>, Cycle> {
        self.announce(waker, deadline, clock)
    }
}

/// A client with any types of messages, replies and errors.
pub(in crate::system) trait AnyClient: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn type_name(&self) -> &'static str;
    fn stats(&self) -> Stats;
    fn capacity(&self) -> Option<usize>;
    fn is_closed(&self) -> bool;
}

impl<S, R, E> AnyClient for Client<S, R, E>
where
    S: Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_name(&self) -> &'static str {
        type_name::<Self>()
    }

    fn stats(&self) -> Stats {
        self.stats()
    }

    fn capacity(&self) -> Option<usize> {
        self.capacity()
    }

    fn is_closed(&self) -> bool {
        self.is_closed()
    }
}
