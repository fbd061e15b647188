//! A module of a strict library in which the names of the standard library mean other things: what
//! the macro writes has to stand on its own.
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unnameable_types,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]

/// The names of a prelude, as other things.
#[allow(dead_code, reason = "they are there for their names")]
mod not_std {
    pub(super) struct Result;
    pub(super) struct Option;
    pub(super) struct Some;
    pub(super) struct None;
    pub(super) struct Ok;
    pub(super) struct Err;
    pub(super) struct Vec;
    pub(super) struct Box;
    pub(super) struct String;
    pub(super) struct Infallible;
    pub(super) struct ControlFlow;
    pub(super) struct Continue;
    pub(super) struct Break;
    pub(super) struct PhantomData;
    pub(super) struct Batch;
    pub(super) struct Client;
    pub(super) struct Typed;
    pub(super) struct Request;
    pub(super) trait From {}
    pub(super) trait Into {}
    pub(super) trait Clone {}
    pub(super) trait Send {}
    pub(super) trait Sync {}
    pub(super) trait Debug {}
    pub(super) trait Display {}
    pub(super) trait Error {}
    pub(super) trait Default {}
    pub(super) trait Fn {}
    pub(super) trait Iterator {}
    pub(super) trait Service {}
    pub(super) trait Interface {}
    pub(super) trait Ask {}
    pub(super) mod core {}
    pub(super) mod std {}
    pub(super) mod alloc {}
    pub(super) mod ump {}
    pub(super) mod ump_server {}
    pub(super) mod ump_router {}
}

#[allow(
    unused_imports,
    clippy::wildcard_imports,
    reason = "that nothing uses them is the subject"
)]
use not_std::*;

use ::ump_router as rerouted;
use ::ump_server as renamed;

/// Results of this library.
pub mod outcome {
    /// A result of this library. The macro knows it by its name.
    pub type Result<T> = ::core::result::Result<T, super::Failed>;
}

/// Why it failed.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug, PartialEq, Eq)]
pub struct Failed;

impl ::core::fmt::Display for Failed {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.write_str("failed")
    }
}

/// Keeps a value.
#[derive(::core::fmt::Debug)]
pub struct First<T, U>(T, ::core::marker::PhantomData<U>);

#[renamed::service(
    crate = renamed,
    router = rerouted,
    topic = "first",
    start_error = Failed,
    derive(::core::fmt::Debug),
)]
impl<T, U> First<T, U>
where
    T: ::core::clone::Clone + ::core::fmt::Debug,
    U: ::core::marker::Send + ::core::fmt::Debug,
{
    /// Creates it, or fails.
    ///
    /// # Errors
    /// Returns an error if there is no value.
    pub fn start(value: ::core::option::Option<T>) -> outcome::Result<Self> {
        let value = value.ok_or(Failed)?;
        ::core::result::Result::Ok(Self(value, ::core::marker::PhantomData))
    }

    /// Returns the value.
    #[must_use]
    pub fn get(&self) -> T {
        self.0.clone()
    }

    /// Keeps another one.
    ///
    /// # Errors
    /// Returns none.
    pub const fn set(&mut self, value: T) -> outcome::Result<T> {
        ::core::result::Result::Ok(::core::mem::replace(&mut self.0, value))
    }

    /// Does not exist.
    #[cfg(any())]
    pub fn absent(&mut self, value: U, error: Unknown) -> outcome::Result<U> {
        Unknown
    }

    /// Is replaced.
    #[deprecated = "use `get`"]
    #[must_use]
    pub fn old(&self) -> T {
        self.0.clone()
    }

    /// Ends the loop.
    #[post]
    #[allow(clippy::missing_const_for_fn, reason = "it may do more one day")]
    pub fn end(&mut self) -> ::core::ops::ControlFlow<()> {
        ::core::ops::ControlFlow::Break(())
    }

    #[timer]
    fn tick(&mut self, value: T) {
        self.0 = value;
    }

    #[timer]
    #[cfg(any())]
    fn tack(&mut self, value: U) {}
}

/// Keeps a number, and takes batches.
#[derive(::core::fmt::Debug, ::core::default::Default)]
pub struct Second(u32, bool);

#[renamed::service(crate = renamed, router = rerouted, topic = "second")]
impl Second {
    #[batch_start]
    const fn begin(&mut self) -> outcome::Result<()> {
        self.1 = true;
        if self.0 == 9 {
            return ::core::result::Result::Err(Failed);
        }
        ::core::result::Result::Ok(())
    }

    /// Returns the number.
    ///
    /// # Errors
    /// Returns an error if no batch has begun.
    pub const fn get(&self) -> outcome::Result<u32> {
        if self.1 {
            ::core::result::Result::Ok(self.0)
        } else {
            ::core::result::Result::Err(Failed)
        }
    }

    /// Keeps another one.
    ///
    /// # Errors
    /// Returns an error if the batch fails.
    pub fn set(&mut self, value: u32, reply: renamed::service::ReplyTo<'_, Self, u32, Failed>) {
        let before = ::core::mem::replace(&mut self.0, value);
        let _ = reply.reply(before);
    }

    /// Does nothing.
    #[post]
    pub const fn nothing(&mut self) {
        self.1 = true;
    }

    #[batch_end]
    const fn commit(&mut self) -> outcome::Result<()> {
        self.1 = false;
        if self.0 == 7 {
            self.0 = 0;
            return ::core::result::Result::Err(Failed);
        }
        ::core::result::Result::Ok(())
    }
}
