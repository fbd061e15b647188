//! The reply context of one method.

use std::{convert::Infallible, fmt, panic::Location, time::Duration, time::Instant};

use ump::{Cancelled, Error};

use super::Interface;
use crate::{ReplyContext, thread::BatchReply};

/// Converts the answer of a method into that of the channel.
type IntoAnswer<H, T, E> =
    fn(Result<T, E>) -> Result<<H as Interface>::Reply, <H as Interface>::Error>;

/// The reply context of a method of the service `H`, whose reply is `T` and whose error is `E`.
///
/// A method that replies later, or looks at its caller, takes it as its last parameter, as
/// `ReplyTo<'_, Self, T>` or `ReplyTo<'_, Self, T, E>`. It is a [`ReplyContext`] that accepts only
/// this method's answers.
///
/// In a service that takes [batches](crate::thread::BatchService), the answer is sent when the
/// batch is done, as are those of the other methods.
///
/// If it is dropped without an answer, the caller gets [`NoReply`](ump::NoReply::Dropped) at once.
#[must_use = "dropped without an answer it fails the request"]
pub struct ReplyTo<'a, H: Interface, T, E = Infallible> {
    context: Lent<'a, H::Reply, H::Error>,
    into: IntoAnswer<H, T, E>,
}

/// The reply context that a loop lends for a call.
enum Lent<'a, R, E> {
    Alone(ReplyContext<'a, R, E>),
    InBatch(BatchReply<'a, R, E>),
}

/// A [`ReplyTo`] that was taken out of its call, to keep it or to answer elsewhere. It does not end
/// with the loop, and answers at once, also during a batch.
#[must_use = "dropped without an answer it fails the request"]
pub struct ReplyLater<H: Interface, T, E = Infallible> {
    context: ump::ReplyContext<H::Reply, H::Error>,
    into: IntoAnswer<H, T, E>,
}

/// Implements what both have in common.
macro_rules! answers {
    () => {
        /// Answers with a reply. For a post it does nothing more.
        ///
        /// # Errors
        /// Returns [`Error::OriginDisappeared`] if the caller has left.
        #[inline]
        pub fn reply(self, reply: T) -> Result<(), Error<E>> {
            self.answer(Ok(reply))
        }

        /// Refuses the request with the application's own error.
        ///
        /// # Errors
        /// Returns [`Error::OriginDisappeared`] if the caller has left.
        #[inline]
        pub fn fail(self, error: E) -> Result<(), Error<E>> {
            self.answer(Err(error))
        }

        /// Answers with a reply or with the application's own error.
        ///
        /// # Errors
        /// Returns [`Error::OriginDisappeared`] if the caller has left.
        #[inline]
        pub fn answer(self, answer: Result<T, E>) -> Result<(), Error<E>> {
            let answer = (self.into)(answer);
            let answered = self.context.answer(answer);
            answered.map_err(|_| Error::OriginDisappeared)
        }

        /// Returns whether the caller has left or its deadline has passed. See
        /// [`ReplyContext::is_cancelled`].
        #[must_use]
        pub fn is_cancelled(&self) -> bool {
            self.context.is_cancelled()
        }

        /// Waits until [`is_cancelled`](Self::is_cancelled) becomes true. See
        /// [`ReplyContext::cancelled`].
        ///
        /// # Cancel safety
        /// The future can be dropped, and the method called again, at any time.
        pub fn cancelled(&mut self) -> Cancelled<'_, H::Reply, H::Error> {
            self.context.cancelled()
        }

        /// Blocks until [`is_cancelled`](Self::is_cancelled) becomes true, at most for `timeout`.
        /// Returns whether it is true.
        pub fn wait_cancelled(&mut self, timeout: Duration) -> bool {
            self.context.wait_cancelled(timeout)
        }

        /// Returns the instant at which the caller stops waiting. See [`ReplyContext::deadline`].
        #[must_use]
        pub fn deadline(&self) -> Option<Instant> {
            self.context.deadline()
        }

        /// Returns whether the request is a post: its sender does not wait for an answer.
        #[must_use]
        pub fn is_post(&self) -> bool {
            self.context.is_post()
        }

        /// Returns the place where the request was made.
        #[must_use]
        pub fn caller(&self) -> &'static Location<'static> {
            self.context.caller()
        }
    };
}

impl<'a, H: Interface, T, E> ReplyTo<'a, H, T, E> {
    /// Creates the reply context of a method whose answers `into` converts.
    #[inline]
    pub fn new(
        context: ReplyContext<'a, H::Reply, H::Error>,
        into: fn(Result<T, E>) -> Result<H::Reply, H::Error>,
    ) -> Self {
        let context = Lent::Alone(context);
        Self { context, into }
    }

    /// Creates the reply context of a method that is called for a request in a batch.
    #[inline]
    pub fn in_batch(
        context: BatchReply<'a, H::Reply, H::Error>,
        into: fn(Result<T, E>) -> Result<H::Reply, H::Error>,
    ) -> Self {
        let context = Lent::InBatch(context);
        Self { context, into }
    }

    /// Takes the reply context out of the call, to keep it, or to answer elsewhere. See
    /// [`ReplyContext::detach`].
    #[inline]
    pub fn detach(self) -> ReplyLater<H, T, E> {
        ReplyLater {
            context: self.context.detach(),
            into: self.into,
        }
    }

    answers!();
}

impl<H: Interface, T, E> ReplyLater<H, T, E> {
    answers!();
}

/// Does the same to the reply context of either kind of loop.
macro_rules! either {
    ($self:expr, $context:ident => $body:expr) => {
        match $self {
            Lent::Alone($context) => $body,
            Lent::InBatch($context) => $body,
        }
    };
}

impl<R, E> Lent<'_, R, E> {
    #[inline]
    fn answer(self, answer: Result<R, E>) -> Result<(), Result<R, E>> {
        match self {
            Self::Alone(context) => context.answer(answer),
            Self::InBatch(context) => {
                context.answer(answer);
                Ok(())
            }
        }
    }

    #[inline]
    fn detach(self) -> ump::ReplyContext<R, E> {
        either!(self, context => context.detach())
    }

    fn is_cancelled(&self) -> bool {
        either!(self, context => context.is_cancelled())
    }

    fn cancelled(&mut self) -> Cancelled<'_, R, E> {
        either!(self, context => context.cancelled())
    }

    fn wait_cancelled(&mut self, timeout: Duration) -> bool {
        either!(self, context => context.wait_cancelled(timeout))
    }

    fn deadline(&self) -> Option<Instant> {
        either!(self, context => context.deadline())
    }

    fn is_post(&self) -> bool {
        either!(self, context => context.is_post())
    }

    fn caller(&self) -> &'static Location<'static> {
        either!(self, context => context.caller())
    }
}

impl<R, E> fmt::Debug for Lent<'_, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        either!(self, context => context.fmt(f))
    }
}

impl<H: Interface, T, E> fmt::Debug for ReplyTo<'_, H, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyTo").field(&self.context).finish()
    }
}

impl<H: Interface, T, E> fmt::Debug for ReplyLater<H, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyLater").field(&self.context).finish()
    }
}
