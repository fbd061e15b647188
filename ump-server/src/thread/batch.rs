//! Handlers that take all that is there at a time.

use std::{fmt, ops::ControlFlow, vec};

use ump::{ReplyContext as OwnedReplyContext, Server, WeakClient};

/// What a loop on a thread does with requests if it takes several at a time: all that are queued,
/// up to a limit. For work that costs little more for many than for one: a transaction, a system
/// call, a round trip.
///
/// This is [`Service`](super::Service) but for [`handle`](Self::handle).
/// [`Builder::spawn_batches`](super::Builder::spawn_batches) runs it.
///
/// ```
/// use std::{num::NonZeroUsize, ops::ControlFlow};
/// use ump_server::{Refused, thread::{Batch, BatchService, Builder}};
///
/// /// Writes down all that is there, then makes sure once that it is on disk.
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

    /// See [`Handler::init`](super::Service::init).
    #[allow(unused_variables)]
    fn init(&mut self, weak_client: WeakClient<Self::Request, Self::Reply, Self::Error>) {}

    /// Called with at least one request, in the order in which they would be taken one by one: of
    /// those that were queued the urgent ones first, at most 16 in a row. What it leaves there is
    /// dropped, and so fails. `Break` ends the loop, with what is in it.
    fn handle(
        &mut self,
        batch: &mut Batch<Self::Request, Self::Reply, Self::Error>,
    ) -> ControlFlow<Self::Output>;

    /// What to call these requests in what the [watchdog](super::Builder::watchdog), traces and
    /// metrics say. The name of the message's type, if it is not overridden.
    #[allow(unused_variables)]
    fn kind(&self, batch: &Batch<Self::Request, Self::Reply, Self::Error>) -> &'static str {
        std::any::type_name::<Self::Request>()
    }

    /// See [`Handler::on_timer`](super::Service::on_timer).
    #[allow(unused_variables)]
    fn on_timer(&mut self, timer: Self::Timer) -> ControlFlow<Self::Output> {
        ControlFlow::Continue(())
    }

    /// See [`Handler::term`](super::Service::term).
    fn term(&mut self, output: Option<Self::Output>) -> Option<Self::Output> {
        output
    }
}

/// Requests that are handled together, each with the duty to answer it.
///
/// Those that are still in it when the handler panics end with the panic's message; those taken out
/// of it end as dropped.
pub struct Batch<S, R, E>(Vec<(S, OwnedReplyContext<R, E>)>);

impl<S, R, E> Batch<S, R, E> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks at them, in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, (S, OwnedReplyContext<R, E>)> {
        self.0.iter()
    }

    /// Looks at them, and may take messages out or change them.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, (S, OwnedReplyContext<R, E>)> {
        self.0.iter_mut()
    }

    pub(super) fn as_slice(&self) -> &[(S, OwnedReplyContext<R, E>)] {
        &self.0
    }

    /// Takes them all out, in their order.
    pub fn drain(&mut self) -> vec::Drain<'_, (S, OwnedReplyContext<R, E>)> {
        self.0.drain(..)
    }

    /// Takes all that is there, but no more than this many together.
    pub(super) fn fill(
        &mut self,
        server: &Server<S, R, E>,
        first: (S, OwnedReplyContext<R, E>),
        max: usize,
    ) {
        self.0.push(first);
        while self.0.len() < max {
            let Ok(Some(next)) = server.try_pop() else {
                break;
            };
            self.0.push(next);
        }
    }
}

impl<S, R, E> Default for Batch<S, R, E> {
    fn default() -> Self {
        Self(Vec::new())
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
