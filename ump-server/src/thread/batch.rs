//! Handlers that take several requests at a time.

use std::{fmt, ops::ControlFlow, vec};

use ump::{ReplyContext as OwnedReplyContext, Server};

use super::batch_reply::{BatchReply, Handled};
use crate::{Context, catch::catch_user_panic};

/// Handles requests in batches on a thread: each call gets all queued requests, up to a limit. For
/// work that costs little more for many requests than for one: a transaction, a system call, a
/// round trip.
///
/// It differs from [`Service`](super::Service) in [`handle`](Self::handle) and
/// [`kind`](Self::kind), which get a batch.
/// [`Builder::spawn_batches`](super::Builder::spawn_batches) runs it.
///
/// ```
/// use std::{num::NonZeroUsize, ops::ControlFlow};
/// use ump_server::{Refused, thread::{Batch, BatchService, Builder}};
///
/// /// Appends all lines of a batch, then syncs the file once.
/// #[derive(Default)]
/// struct Log(Vec<String>);
///
/// impl BatchService for Log {
///     type Request = String;
///     type Reply = usize;
///     type Error = Refused;
///     type Output = ();
///     type Timer = ();
///
///     fn handle(&mut self, batch: &mut Batch<String, usize, Refused>) -> ControlFlow<()> {
///         self.0.extend(batch.iter_mut().map(|(line, _)| std::mem::take(line)));
///         // fsync
///         for (_, rctx) in batch.drain() {
///             let _ = rctx.reply(self.0.len());
///         }
///         ControlFlow::Continue(())
///     }
/// }
///
/// let (client, handle) = Builder::new()
///     .name("log")
///     .spawn_batches(NonZeroUsize::new(256).unwrap(), |_| Ok(Log::default()))?;
/// assert_eq!(client.req("a line".to_owned())?, 1);
/// drop(client);
/// assert_eq!(handle.join()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait BatchService {
    /// See [`Service::Request`](super::Service::Request).
    type Request: Send + 'static;
    /// See [`Service::Reply`](super::Service::Reply).
    type Reply: Send + 'static;
    /// See [`Service::Error`](super::Service::Error).
    type Error: Send + 'static;
    /// See [`Service::Output`](super::Service::Output).
    type Output: Send + 'static;
    /// See [`Service::Timer`](super::Service::Timer).
    type Timer: Send + 'static;

    /// See [`Service::init`](super::Service::init).
    #[allow(unused_variables)]
    fn init(&mut self, cx: &Context<Self::Request, Self::Reply, Self::Error, Self::Timer>) {}

    /// Handles a batch of at least one request. `Break` ends the loop with its value.
    ///
    /// The requests are in the order in which a loop takes them one by one: of the queued requests
    /// the urgent ones first, at most 16 in a row. Requests that the handler leaves in the batch
    /// are dropped, and so fail.
    ///
    /// A handler that replies only when the whole batch is done, say after a commit, uses
    /// [`Batch::answer_each`].
    fn handle(
        &mut self,
        batch: &mut Batch<Self::Request, Self::Reply, Self::Error>,
    ) -> ControlFlow<Self::Output>;

    /// Returns the name of these requests in reports of the [watchdog](super::Builder::watchdog),
    /// traces and metrics. The default is the name of the message's type.
    #[allow(unused_variables)]
    fn kind(&self, batch: &Batch<Self::Request, Self::Reply, Self::Error>) -> &'static str {
        std::any::type_name::<Self::Request>()
    }

    /// See [`Service::on_timer`](super::Service::on_timer).
    #[allow(unused_variables)]
    fn on_timer(&mut self, timer: Self::Timer) -> ControlFlow<Self::Output> {
        ControlFlow::Continue(())
    }

    /// See [`Service::on_socket`](super::Service::on_socket).
    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    #[allow(unused_variables)]
    fn on_socket(&mut self, event: crate::net::Event) -> ControlFlow<Self::Output> {
        ControlFlow::Continue(())
    }

    /// See [`Service::term`](super::Service::term).
    fn term(&mut self, output: Option<Self::Output>) -> Option<Self::Output> {
        output
    }
}

/// A batch of requests, each with its reply context.
///
/// If the handler panics, the requests that are still in the batch end with the panic's message,
/// and so do those whose [answer is held](Self::answer_each). The requests that the handler has
/// taken out and holds end as dropped.
pub struct Batch<S, R, E> {
    requests: Vec<(S, OwnedReplyContext<R, E>)>,
    /// The requests that `answer_each` has handled, in their order.
    handled: Vec<Handled<R, E>>,
}

impl<S, R, E> Batch<S, R, E> {
    /// Returns the number of requests in the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Returns whether the batch is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Iterates over the requests, in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, (S, OwnedReplyContext<R, E>)> {
        self.requests.iter()
    }

    /// Iterates over the requests, in their order. The messages can be changed or taken out.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, (S, OwnedReplyContext<R, E>)> {
        self.requests.iter_mut()
    }

    pub(super) fn as_slice(&self) -> &[(S, OwnedReplyContext<R, E>)] {
        &self.requests
    }

    /// Removes and returns all requests, in their order.
    pub fn drain(&mut self) -> vec::Drain<'_, (S, OwnedReplyContext<R, E>)> {
        self.requests.drain(..)
    }

    /// Calls `handle` for each request, in their order, and holds the answers until
    /// [`BatchService::handle`] has returned. So no caller gets a reply before the work of the
    /// whole batch is done.
    ///
    /// If `handle` returns `Break`, it is not called for the rest of the batch.
    ///
    /// ```
    /// # use std::{num::NonZeroUsize, ops::ControlFlow};
    /// # use ump_server::thread::{Batch, BatchService, Builder};
    /// # #[derive(Clone)]
    /// # struct DiskFull;
    /// # #[derive(Default)]
    /// # struct Log(Vec<String>);
    /// # impl Log {
    /// #     fn sync(&mut self) -> Result<(), DiskFull> {
    /// #         if self.0.len() < 2 { Ok(()) } else { Err(DiskFull) }
    /// #     }
    /// # }
    /// impl BatchService for Log {
    ///     # type Request = String;
    ///     # type Reply = usize;
    ///     # type Error = DiskFull;
    ///     # type Output = ();
    ///     # type Timer = ();
    ///     fn handle(&mut self, batch: &mut Batch<String, usize, DiskFull>) -> ControlFlow<()> {
    ///         let flow = batch.answer_each(|line, reply| {
    ///             self.0.push(line);
    ///             reply.reply(self.0.len());
    ///             ControlFlow::Continue(())
    ///         });
    ///         if let Err(error) = self.sync() {
    ///             batch.fail_replies(|_| Some(error.clone()));
    ///         }
    ///         flow
    ///     }
    /// }
    /// # let (client, _) = Builder::new()
    /// #     .spawn_batches(NonZeroUsize::MIN, |_| Ok(Log::default())).unwrap_or_else(|_| panic!());
    /// # assert_eq!(client.req(String::new()).ok(), Some(1));
    /// # assert!(client.req(String::new()).is_err());
    /// ```
    pub fn answer_each<B>(
        &mut self,
        mut handle: impl FnMut(S, BatchReply<'_, R, E>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        // The next one is at the end, so that those that are not handled yet stay in the batch if
        // `handle` panics.
        self.requests.reverse();
        while let Some((message, context)) = self.requests.pop() {
            let flow = handle(message, BatchReply::new(&mut self.handled, context));
            if flow.is_break() {
                self.requests.reverse();
                return flow;
            }
        }
        ControlFlow::Continue(())
    }

    /// Replaces each reply that [`answer_each`](Self::answer_each) holds by the error that `error`
    /// makes of it. If it makes none, the request ends [without a reply](ump::NoReply::Dropped).
    ///
    /// The requests that were refused keep their errors.
    pub fn fail_replies(&mut self, mut error: impl FnMut(R) -> Option<E>) {
        for handled in &mut self.handled {
            handled.fail_reply(&mut error);
        }
    }

    /// Sends the answers that are held. No lock may be held: this wakes callers.
    pub(super) fn send_answers(&mut self) {
        self.handled.drain(..).for_each(Handled::send);
    }

    /// Returns the reply contexts of all requests that have no answer yet.
    pub(super) fn into_owed(self) -> impl Iterator<Item = OwnedReplyContext<R, E>> {
        let handled = self.handled.into_iter().map(Handled::into_owed);
        let left = self.requests.into_iter().map(|(message, owed)| {
            // The drop of a message is user code.
            catch_user_panic(|| drop(message));
            owed
        });
        handled.chain(left)
    }

    /// Adds `first` and the queued requests, up to `max` requests in the batch.
    pub(super) fn fill(
        &mut self,
        server: &Server<S, R, E>,
        first: (S, OwnedReplyContext<R, E>),
        max: usize,
    ) {
        self.requests.push(first);
        while self.requests.len() < max {
            let Ok(Some(next)) = server.try_pop() else {
                break;
            };
            self.requests.push(next);
        }
    }
}

impl<S, R, E> Default for Batch<S, R, E> {
    fn default() -> Self {
        Self {
            requests: Vec::new(),
            handled: Vec::new(),
        }
    }
}

impl<'a, S, R, E> IntoIterator for &'a Batch<S, R, E> {
    type Item = &'a (S, OwnedReplyContext<R, E>);
    type IntoIter = std::slice::Iter<'a, (S, OwnedReplyContext<R, E>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, S, R, E> IntoIterator for &'a mut Batch<S, R, E> {
    type Item = &'a mut (S, OwnedReplyContext<R, E>);
    type IntoIter = std::slice::IterMut<'a, (S, OwnedReplyContext<R, E>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<S, R, E> fmt::Debug for Batch<S, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.len()).finish()
    }
}
