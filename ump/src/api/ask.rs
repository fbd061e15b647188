//! Messages that name their own reply.
//!
//! A channel has one type of message, one of reply and one of error. A server with several kinds of
//! requests makes enums of them, and each caller would unpack the enums. With [`Ask`], a message
//! says once how it gets into the enum and how its reply comes out, and its callers see neither:
//!
//! ```text
//!   Get(1) ──into_request──► Request::Get(Get(1)) ──channel──► handler
//!                                                                 │
//!   Option<String> ◄──from_answer── Reply::Get(Option<String>) ◄──┘
//! ```

#![forbid(unsafe_code)]

#[cfg(doc)]
use crate::{api::client::Client, error::NoReply};

/// A message that names its own reply and error, on channels of messages `S`, replies `R` and
/// errors `E`.
///
/// [`Client::ask`] sends it. The methods convert between the message and the channel's types,
/// usually enums with a variant for each message. [`impl_ask!`](crate::impl_ask) writes them, and
/// the attribute `service` of `ump-server` writes all of it, for the methods of an `impl` block.
///
/// ```
/// use std::{collections::HashMap, convert::Infallible, thread};
///
/// struct Get(u32);
/// struct Put(u32, String);
///
/// enum Request { Get(Get), Put(Put) }
/// enum Reply { Get(Option<String>), Put(bool) }
///
/// ump::impl_ask!(Request, Reply, Infallible: Get => Option<String>, Put => bool);
///
/// let (server, client) = ump::channel();
/// let serving = thread::spawn(move || {
///     let mut values = HashMap::new();
///     for (request, rctx) in &server {
///         let _ = rctx.reply(match request {
///             Request::Get(Get(key)) => Reply::Get(values.get(&key).cloned()),
///             Request::Put(Put(key, value)) => Reply::Put(values.insert(key, value).is_none()),
///         });
///     }
/// });
/// let is_new: bool = client.ask(Put(1, "one".to_owned())).wait().unwrap();
/// let value: Option<String> = client.ask(Get(1)).wait().unwrap(); // or `.await`
/// assert_eq!((is_new, value.as_deref()), (true, Some("one")));
/// # drop(client);
/// # serving.join().unwrap();
/// ```
///
/// The methods run on the thread or task of the caller.
pub trait Ask<S, R, E>: Sized {
    /// The reply to this message.
    type Reply;
    /// The error with which the handler refuses this message.
    type Error;

    /// Converts the message into a message of the channel.
    fn into_request(self) -> S;

    /// Converts a message of the channel back, because it was not executed and returns to its
    /// caller.
    ///
    /// It gets only messages that [`into_request`](Self::into_request) of this type has made.
    fn from_request(request: S) -> Self;

    /// Converts the handler's answer.
    ///
    /// Returns `None` if it is the answer to another message. The request then ends with
    /// [`NoReply::Mismatched`].
    fn from_answer(answer: Result<R, E>) -> Option<Result<Self::Reply, Self::Error>>;
}

/// Implements [`Ask`] for messages that are variants of an enum.
///
/// The arguments are the types of the channel, then each message with its reply. The first two
/// types are enums with a variant of the same name as each message. Each message has the channel's
/// error. See the [example](Ask); `Get => Option<String>` there stands for this:
///
/// ```
/// # use std::convert::Infallible;
/// # use ump::Ask;
/// # struct Get(u32);
/// # enum Request { Get(Get), Put(u32, String) }
/// # enum Reply { Get(Option<String>), Put(bool) }
/// impl Ask<Request, Reply, Infallible> for Get {
///     type Reply = Option<String>;
///     type Error = Infallible;
///
///     fn into_request(self) -> Request {
///         Request::Get(self)
///     }
///
///     fn from_request(request: Request) -> Self {
///         match request {
///             Request::Get(message) => message,
///             _ => unreachable!("`into_request` made this message"),
///         }
///     }
///
///     fn from_answer(answer: Result<Reply, Infallible>) -> Option<Result<Self::Reply, Infallible>> {
///         match answer {
///             Ok(Reply::Get(reply)) => Some(Ok(reply)),
///             Ok(_) => None,
///             Err(error) => Some(Err(error)),
///         }
///     }
/// }
/// # assert!(Get::from_answer(Ok(Reply::Put(true))).is_none());
/// # let Request::Get(Get(1)) = Get(1).into_request() else { panic!() };
/// # let Get(0) = Get::from_request(Request::Get(Get(0))) else { panic!() };
/// # let _ = Request::Put(1, String::new());
/// ```
#[macro_export]
macro_rules! impl_ask {
    (
        $request:ident, $reply:ident, $error:ty:
        $($message:ident => $own_reply:ty),+ $(,)?
    ) => {$(
        impl $crate::Ask<$request, $reply, $error> for $message {
            type Reply = $own_reply;
            type Error = $error;

            #[inline]
            fn into_request(self) -> $request {
                $request::$message(self)
            }

            #[inline]
            fn from_request(request: $request) -> Self {
                match request {
                    $request::$message(message) => message,
                    #[allow(unreachable_patterns)]
                    _ => ::core::unreachable!("`into_request` made this message"),
                }
            }

            #[inline]
            fn from_answer(
                answer: ::core::result::Result<$reply, $error>,
            ) -> ::core::option::Option<::core::result::Result<$own_reply, $error>> {
                match answer {
                    ::core::result::Result::Ok($reply::$message(reply)) => {
                        ::core::option::Option::Some(::core::result::Result::Ok(reply))
                    }
                    #[allow(unreachable_patterns)]
                    ::core::result::Result::Ok(_) => ::core::option::Option::None,
                    #[allow(unreachable_patterns)]
                    ::core::result::Result::Err(error) => {
                        ::core::option::Option::Some(::core::result::Result::Err(error))
                    }
                }
            }
        }
    )+};
}
