//! Many replies, in the order in which they come.

#![forbid(unsafe_code)]

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use futures_core::Stream;

use crate::{
    api::wait_reply::WaitReply,
    coop::Coop,
    error::Error,
    sync::{Mutex, WakerArc, current},
    time::clock::Clock,
    wait::waiter::Waiter,
    waits::{self, Circle, MANY, Wait},
};

/// A set of requests under way, which yields their outcomes in the order in which they come.
///
/// Each request has a key, which comes back with its outcome. A reply that comes costs the same however many are still out.
/// Dropping it cancels all that have not ended.
///
/// ```
/// use ump::Gather;
///
/// let (server, client) = ump::channel::<u32, u32, ()>();
/// let mut replies = Gather::new();
/// for n in 0..3 {
///     replies.push(n, client.req_async(n)?);
/// }
/// let (_, zero) = server.wait()?;
/// let (_, one) = server.wait()?;
/// one.reply(10)?;
/// zero.fail(())?;
/// drop(server);
/// assert_eq!(replies.wait(), Some((1, Ok(10))));
/// assert_eq!(replies.wait(), Some((0, Err(ump::Error::App(())))));
/// assert_eq!(replies.wait(), Some((2, Err(ump::Error::ServerDisappeared))));
/// assert_eq!(replies.wait(), None);
/// # Ok::<(), ump::Error<()>>(())
/// ```
#[must_use = "dropping it cancels the requests"]
pub struct Gather<K, R, E, X = Error<E>> {
    seats: Vec<Seat<K, R, E, X>>,
    vacant: Vec<usize>,
    /// That of the requests.
    clock: Clock,
    /// Whether a task was told to be woken.
    has_left_word: bool,
    news: WakerArc<News>,
    coop: Coop,
}

/// The place of one request.
enum Seat<K, R, E, X> {
    Vacant,
    /// Its bell is armed.
    Waiting(K, WaitReply<R, E, X>),
    /// It had ended when it was pushed.
    Ended(K, Result<R, X>),
}

/// Which requests have something to tell, and whom to tell that there is.
struct News {
    board: Mutex<Board>,
}

struct Board {
    ready: VecDeque<usize>,
    reader: Option<Waiter>,
}

/// The waker of one request: it puts its place on the board.
struct Bell {
    place: usize,
    news: WakerArc<News>,
}

impl Wake for Bell {
    fn wake(self: WakerArc<Self>) {
        self.news.post(self.place);
    }
}

impl News {
    fn post(&self, place: usize) {
        let mut board = self.board.lock();
        board.ready.push_back(place);
        let reader = board.reader.take();
        drop(board);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn clear(&self) {
        self.board.lock().ready = VecDeque::new();
    }

    fn read(&self) -> Option<usize> {
        self.board.lock().ready.pop_front()
    }
}

impl<K, R, E, X> Gather<K, R, E, X> {
    /// An empty set.
    pub fn new() -> Self {
        Self {
            seats: Vec::new(),
            vacant: Vec::new(),
            clock: Clock::system(),
            has_left_word: false,
            news: WakerArc::new(News {
                board: Mutex::new(Board {
                    ready: VecDeque::new(),
                    reader: None,
                }),
            }),
            coop: Coop::new(),
        }
    }

    /// Adds a request. One that has ended already comes at this place in the order.
    pub fn push(&mut self, key: K, mut reply: WaitReply<R, E, X>) {
        if self.is_empty() {
            self.clock = reply.clock().clone();
        }
        let place = self.vacant.last().copied().unwrap_or(self.seats.len());
        // Only who is woken comes in the order of arrival.
        reply.leaves_word();
        // To poll may run the user's code. Should that panic, nothing has happened yet.
        let seat = match self.poll(place, &mut reply) {
            Poll::Pending => Seat::Waiting(key, reply),
            Poll::Ready(outcome) => {
                self.news.post(place);
                Seat::Ended(key, outcome)
            }
        };
        if self.vacant.pop().is_some() {
            self.seats[place] = seat;
        } else {
            self.seats.push(seat);
        }
    }

    /// How many have not been yielded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len() - self.vacant.len()
    }

    /// Whether all have been yielded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Blocks until the next outcome. `None` when there is none to come.
    ///
    /// If the caller would wait for itself by all of them, one ends so: see [`waits`](crate::waits).
    pub fn wait(&mut self) -> Option<(K, Result<R, X>)> {
        self.next_until(None)
    }

    /// Blocks until the next outcome, at most for so long. `None` when there is none to come, or not in time; see
    /// [`is_empty`](Self::is_empty). The time is that of the channel to which the first of the requests was made.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<(K, Result<R, X>)> {
        self.next_until(self.clock.after(timeout))
    }

    /// The next outcome if it is there.
    pub fn try_next(&mut self) -> Option<(K, Result<R, X>)> {
        while let Some(place) = self.news.read() {
            if let Some(outcome) = self.look_at(place) {
                return Some(outcome);
            }
        }
        None
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<(K, Result<R, X>)> {
        let mut watched = None;
        loop {
            if let Some(outcome) = self.try_next() {
                return Some(outcome);
            }
            if self.is_empty() {
                return None;
            }
            if !self.enrol(Waiter::Thread(current())) {
                continue;
            }
            // A wait that its call bounds ends by itself, and the requests go on.
            if deadline.is_none() && watched.is_none() {
                match waits::before_any(|| self.waits()) {
                    Ok(told) => watched = Some(told),
                    Err(circle) => return self.would_deadlock(circle),
                }
                if watched.as_ref().is_some_and(Option::is_some) {
                    // A watcher is the user's code, and may have used up a wake-up.
                    continue;
                }
            }
            if self.clock.park_until(deadline) {
                return self.try_next();
            }
        }
    }

    /// What it waits for who waits for the next outcome, unless that is too much.
    fn waits(&self) -> Option<Vec<Wait>> {
        if self.len() > MANY {
            return None;
        }
        let waits = self.seats.iter().filter_map(|seat| match seat {
            Seat::Waiting(_, reply) => Some(reply.awaited().again(self.has_left_word)),
            Seat::Vacant | Seat::Ended(..) => None,
        });
        Some(waits.collect())
    }

    /// Ends one of those that are waited for.
    fn would_deadlock(&mut self, circle: Circle) -> Option<(K, Result<R, X>)> {
        let is_waiting = |seat: &Seat<_, _, _, _>| matches!(seat, Seat::Waiting(..));
        let place = self.seats.iter().position(is_waiting)?;
        let seat = std::mem::replace(&mut self.seats[place], Seat::Vacant);
        self.vacant.push(place);
        let Seat::Waiting(key, mut reply) = seat else {
            unreachable!("it was waiting");
        };
        let outcome = reply.would_deadlock(circle);
        self.shrink();
        Some((key, outcome))
    }

    /// The memory of a burst is given back. What is still on the board is about seats that are empty.
    fn shrink(&mut self) {
        if self.is_empty() {
            self.has_left_word = false;
            self.seats = Vec::new();
            self.vacant = Vec::new();
            self.news.clear();
        }
    }

    /// Looks what there is to tell at `place`. Possibly nothing: a bell may ring twice, or for one who sat there before.
    fn look_at(&mut self, place: usize) -> Option<(K, Result<R, X>)> {
        let seat = std::mem::replace(self.seats.get_mut(place)?, Seat::Vacant);
        if !matches!(seat, Seat::Vacant) {
            // Before it is polled, which may run the user's code: should that panic, the seat is vacant.
            self.vacant.push(place);
        }
        let news = match seat {
            Seat::Vacant => return None,
            Seat::Ended(key, outcome) => (key, outcome),
            Seat::Waiting(key, mut reply) => match self.poll(place, &mut reply) {
                Poll::Ready(outcome) => (key, outcome),
                Poll::Pending => {
                    self.vacant.pop();
                    self.seats[place] = Seat::Waiting(key, reply);
                    return None;
                }
            },
        };
        self.shrink();
        Some(news)
    }

    /// Polls with the bell of `place`, which tells when to do it again.
    fn poll(&self, place: usize, reply: &mut WaitReply<R, E, X>) -> Poll<Result<R, X>> {
        let bell = Waker::from(WakerArc::new(Bell {
            place,
            news: WakerArc::clone(&self.news),
        }));
        reply.poll_without_budget(&mut Context::from_waker(&bell))
    }

    /// Leaves word whom to wake when there is news. False if there is.
    fn enrol(&self, waiter: Waiter) -> bool {
        let mut board = self.news.board.lock();
        if !board.ready.is_empty() {
            return false;
        }
        let old = board.reader.replace(waiter);
        drop(board);
        if old.is_none() {
            return true;
        }
        // To let go of it runs the user's code, which may use up the unpark.
        drop(old);
        self.news.board.lock().ready.is_empty()
    }
}

impl<K, R, E, X> Default for Gather<K, R, E, X> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, R, E, X> Extend<(K, WaitReply<R, E, X>)> for Gather<K, R, E, X> {
    fn extend<T: IntoIterator<Item = (K, WaitReply<R, E, X>)>>(&mut self, replies: T) {
        replies
            .into_iter()
            .for_each(|(key, reply)| self.push(key, reply));
    }
}

impl<K, R, E, X> FromIterator<(K, WaitReply<R, E, X>)> for Gather<K, R, E, X> {
    fn from_iter<T: IntoIterator<Item = (K, WaitReply<R, E, X>)>>(replies: T) -> Self {
        let mut gather = Self::new();
        gather.extend(replies);
        gather
    }
}

impl<K, R, E, X> Unpin for Gather<K, R, E, X> {}

/// The async counterpart of [`wait`](Gather::wait). Cancel safe: an outcome is taken only by the poll that returns it.
impl<K, R, E, X> Stream for Gather<K, R, E, X> {
    type Item = (K, Result<R, X>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.coop.begin(cx) {
            return Poll::Pending;
        }
        let polled = self.poll_without_budget(cx);
        self.coop.end(&polled);
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<K, R, E, X> Gather<K, R, E, X> {
    fn poll_without_budget(&mut self, cx: &mut Context<'_>) -> Poll<Option<(K, Result<R, X>)>> {
        loop {
            if let Some(outcome) = self.try_next() {
                return Poll::Ready(Some(outcome));
            }
            if self.is_empty() {
                return Poll::Ready(None);
            }
            let wait = || self.waits();
            let exchanged = match waits::polled_any(cx.waker(), wait) {
                Ok(exchanged) => exchanged,
                Err(circle) => return Poll::Ready(self.would_deadlock(circle)),
            };
            self.has_left_word = true;
            let waker = exchanged.as_ref().unwrap_or(cx.waker());
            if self.enrol(Waiter::task(waker)) {
                return Poll::Pending;
            }
        }
    }
}

impl<K, R, E, X> fmt::Debug for Gather<K, R, E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
