//! Services with typed methods: what the attribute [`service`](macro@crate::service) builds on.
//!
//! The attribute turns the methods of an `impl` block into a handler and a client. Everything it
//! writes could be written by hand, with [`Ask`](ump::Ask) for the messages and the items of this
//! module:
//!
//! - [`Interface`] names the types of the channel, so that the handler's type stands for them all.
//! - [`ReplyTo`] is the reply context of one method, for methods that reply themselves.
//! - [`IntoFlow`] lets a method end the loop, or return nothing.
//! - [`Fallible`] finds reply and error of a method whose `Result` is an alias.

mod reply_to;

use std::ops::ControlFlow;

pub use reply_to::{ReplyLater, ReplyTo};

use crate::Context;

/// The types of a service's channel, and of its client.
pub trait Interface {
    /// The messages: usually an enum with a variant for each method.
    type Request;
    /// The replies: usually an enum with a variant for each method.
    type Reply;
    /// The errors: usually an enum with a variant for each method that returns a `Result`.
    type Error;
    /// The tokens of the timers. `()` if there are none.
    type Timer;
    /// The client, with a method for each method of the service.
    type Client: From<crate::Client<Self::Request, Self::Reply, Self::Error>>;
}

/// The [`Context`] that the service `H` is started with.
///
/// A method with the attribute `#[init]` may take `&ContextOf<Self>`.
pub type ContextOf<H> = Context<
    <H as Interface>::Request,
    <H as Interface>::Reply,
    <H as Interface>::Error,
    <H as Interface>::Timer,
>;

/// The result of a method that does not return a reply: nothing, or whether the loop goes on.
#[diagnostic::on_unimplemented(
    message = "this method returns nothing, or `ControlFlow<{B}>`, but not `{Self}`",
    label = "neither `()` nor `ControlFlow<{B}>`"
)]
pub trait IntoFlow<B> {
    /// Converts it: nothing means that the loop goes on.
    fn into_flow(self) -> ControlFlow<B>;
}

impl<B> IntoFlow<B> for () {
    #[inline]
    fn into_flow(self) -> ControlFlow<B> {
        ControlFlow::Continue(())
    }
}

impl<B> IntoFlow<B> for ControlFlow<B> {
    #[inline]
    fn into_flow(self) -> Self {
        self
    }
}

/// A `Result`, also by an alias that leaves out the error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is called `Result` but is not the standard library's",
    label = "not a `std::result::Result`",
    note = "a method that returns a type called `Result` has a reply and an error"
)]
pub trait Fallible {
    /// The reply.
    type Reply;
    /// The application's own error.
    type Error;

    /// Returns the plain `Result`.
    ///
    /// # Errors
    /// Returns the error that it is.
    fn into_result(self) -> Result<Self::Reply, Self::Error>;
}

impl<T, E> Fallible for Result<T, E> {
    type Reply = T;
    type Error = E;

    #[inline]
    fn into_result(self) -> Self {
        self
    }
}
