//! The components of a system that runs.
//!
//! What is known of an instance comes from three places: its channel's books, what its loop says
//! about its end, and a record that its factory and its supervisor write. None of them is kept up
//! to date for the sake of a status: it is read when somebody asks.

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
    catch::{catch_user_panic, ignore_user_panic},
    sync::Mutex,
    wait::wakers::{Registration, Wakers, discard, wake_all},
};

/// What a system and all that know it share.
pub(in crate::system) struct Inner {
    /// In the order of definition.
    pub(in crate::system) components: Box<[Component]>,
    /// In which they are started, by number.
    pub(in crate::system) order: Box<[usize]>,
    pub(in crate::system) clock: Clock,
    /// How long what was refused at the end of a stop has to end.
    pub(in crate::system) grace: Duration,
    pub(in crate::system) failures: Arc<Failures>,
}

pub(in crate::system) struct Component {
    pub(in crate::system) name: Arc<str>,
    pub(in crate::system) needs: Arc<[String]>,
    pub(in crate::system) supervision: Option<Arc<Supervision>>,
    /// All of them, once they are launched; that need not be as many as there should be, if one
    /// failed.
    pub(in crate::system) instances: OnceLock<Box<[Instance]>>,
    /// All of them have started.
    pub(in crate::system) is_up: AtomicBool,
}

impl Inner {
    pub(in crate::system) fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|known| *known.name == *name)
    }

    /// Those that are launched, dependents before what they need.
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

/// Where a loop's end is kept while no future polls it.
struct Slot {
    end: End,
    /// The futures that wait until another one puts it back.
    waiting: Wakers,
}

/// What is known of a loop's end.
enum End {
    Going(Box<dyn Ending>),
    /// A future has taken it out, to poll it.
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

    /// Resolves when it has started, or ended without that.
    pub(in crate::system) async fn started(&self) -> Result<(), LoopStartError> {
        let mut lent = self.lend().await;
        poll_fn(|cx| match &mut lent.end {
            End::Going(ending) => ending.poll_started(cx),
            End::Awaited => unreachable!("it is lent"),
            End::Ended(_) => Poll::Ready(Err(LoopStartError::Ended)),
        })
        .await
    }

    /// Resolves when it has ended. Several futures may wait for that.
    pub(in crate::system) async fn ended(&self) -> Result<(), JoinError> {
        let mut lent = self.lend().await;
        let (outcome, rest) = poll_fn(|cx| match &mut lent.end {
            End::Going(ending) => ending.poll_ended(cx),
            End::Awaited => unreachable!("it is lent"),
            End::Ended(outcome) => Poll::Ready((outcome.clone(), None)),
        })
        .await;
        lent.end = End::Ended(outcome.clone());
        let _ = catch_user_panic(|| drop(rest));
        outcome
    }

    /// Resolves when it has ended, or at this time with nothing.
    ///
    /// # Errors
    /// Whoever waits would wait for itself.
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
            // Both leave word with one waker, so that a watcher knows that nothing else is waited
            // for.
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
                End::Awaited => unreachable!("it is lent"),
                End::Ended(outcome) => Poll::Ready((outcome.clone(), None)),
            };
            if let Poll::Ready(ended) = ended {
                return Poll::Ready(Ok(Some(ended)));
            }
            // Should the system refuse the thread that would wake us, it is late already: better
            // than to wait for ever.
            match &mut late {
                Some(late) => Pin::new(late).poll(&mut cx).map(|_| Ok(None)),
                None => Poll::Pending,
            }
        });
        let Some((outcome, rest)) = by_then.await? else {
            return Ok(None);
        };
        lent.end = End::Ended(outcome.clone());
        let _ = catch_user_panic(|| drop(rest));
        Ok(Some(outcome))
    }

    /// How it ended, if it has.
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
        let _ = catch_user_panic(|| drop(rest));
        Some(outcome)
    }

    /// Takes it out of the lock, as polling it runs the user's code. Waits for the future that has
    /// it, if there is one.
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

/// A future that waits until the end of a loop is in its place.
struct Waits<'a> {
    home: &'a Mutex<Slot>,
    own: Registration,
}

impl Waits<'_> {
    /// Takes it, or registers the waker.
    fn look(&mut self, waker: &Waker) -> Poll<End> {
        let waker = waker.clone();
        let mut slot = self.home.lock();
        let (looked, unused) = match &slot.end {
            End::Awaited => {
                let unused = slot.waiting.register(&mut self.own, waker);
                (Poll::Pending, unused)
            }
            // It stays there, for others to read.
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

/// What it ended with may be there, unread.
impl Drop for Instance {
    fn drop(&mut self) {
        let end = mem::replace(&mut self.end.lock().end, End::Awaited);
        ignore_user_panic(|| drop(end));
    }
}

/// Goes back to its place when it is dropped, and wakes the futures that wait for it.
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

/// What a loop ended with: nobody wants it, but its drop is the user's code.
type Rest = Option<Box<dyn Any + Send>>;

/// The end of a loop, whatever it ends with.
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
        // It can be left and called again.
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

/// A client of some type.
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
