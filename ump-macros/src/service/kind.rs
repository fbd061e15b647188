//! The kind of a method, by its attribute.

use proc_macro2::{Ident, TokenStream};
use syn::{
    Attribute, Error, Result, Token,
    parse::{ParseStream, Parser},
    spanned::Spanned,
};

/// The kind of a method.
pub(crate) enum Kind {
    /// A client requests it.
    Request,
    /// A client posts it.
    Post,
    /// A timer calls it.
    Timer(Start),
    /// It is called before anything else.
    Init,
    /// It is called at the end.
    Term,
    /// It is called before each batch.
    BatchStart,
    /// It is called after each batch, before the replies are sent.
    BatchEnd,
    /// It is called with the events of the service's sockets.
    Socket,
    /// It waits for something beside requests and timers.
    Ready,
    /// It is called when that has come.
    OnReady,
}

/// When a timer is armed.
pub(crate) enum Start {
    /// By the service itself.
    Never,
    /// At the start, with this period.
    Every(TokenStream),
    /// At the start, once, after this time.
    After(TokenStream),
}

const OWN: [&str; 9] = [
    "post",
    "timer",
    "init",
    "term",
    "batch_start",
    "batch_end",
    "socket",
    "ready",
    "on_ready",
];

const SOCKET_PARAMS: &str =
    "a `socket` method has one parameter, the event: `event: ump_server::net::Event`";

/// Returns whether it is an attribute of the macro.
pub(crate) fn is_own(attribute: &Attribute) -> bool {
    OWN.iter().any(|name| attribute.path().is_ident(name))
}

impl Kind {
    /// Returns what the attributes of the macro say that a method is for.
    pub(crate) fn of(own: &[Attribute]) -> Result<Self> {
        let Some(attribute) = own.first() else {
            return Ok(Self::Request);
        };
        if let Some(second) = own.get(1) {
            return Err(Error::new(second.span(), "a method is for one thing only"));
        }
        if attribute.path().is_ident("timer") {
            return start(attribute).map(Self::Timer);
        }
        attribute.meta.require_path_only()?;
        let name = attribute.path().require_ident()?.to_string();
        Ok(match name.as_str() {
            "post" => Self::Post,
            "init" => Self::Init,
            "term" => Self::Term,
            "batch_start" => Self::BatchStart,
            "socket" => Self::Socket,
            "ready" => Self::Ready,
            "on_ready" => Self::OnReady,
            _ => Self::BatchEnd,
        })
    }

    /// Returns whether clients send messages to the method.
    pub(crate) fn has_message(&self) -> bool {
        matches!(self, Self::Request | Self::Post)
    }

    /// Returns how many parameters such a method can have.
    pub(crate) fn most_params(&self) -> usize {
        match self {
            Self::Request | Self::Post | Self::Timer(Start::Never) => usize::MAX,
            Self::Timer(_) | Self::BatchStart | Self::BatchEnd | Self::Ready | Self::OnReady => 0,
            Self::Init | Self::Term | Self::Socket => 1,
        }
    }

    /// Returns what a method has as its parameters, for an error.
    pub(crate) fn params_message(&self) -> &'static str {
        match self {
            Self::Init => "an `init` method has no parameter but the context, `&ContextOf<Self>`",
            Self::Term => "a `term` method has no parameter but the output of the loop",
            Self::BatchStart | Self::BatchEnd => {
                "a method that is called before or after a batch has no parameters"
            }
            Self::Socket => SOCKET_PARAMS,
            Self::Ready | Self::OnReady => {
                "a method that waits for something beside requests, or handles it, has no parameters: \
                 `ready` keeps what it receives in the service"
            }
            _ => "a timer that begins with the loop has no arguments",
        }
    }

    /// Returns the parameter that such a method lacks, for an error.
    pub(crate) fn lacks(&self, params: usize) -> Option<&'static str> {
        (matches!(self, Self::Socket) && params == 0).then_some(SOCKET_PARAMS)
    }

    /// Returns whether the parameters of the method are those that the loop gives it, so that they
    /// need not be sent to it.
    pub(crate) fn is_hook(&self) -> bool {
        matches!(self, Self::Init | Self::Term | Self::Socket)
    }

    /// Returns whether the method is called before or after each batch.
    pub(crate) fn is_of_batches(&self) -> bool {
        matches!(self, Self::BatchStart | Self::BatchEnd)
    }
}

/// Parses `#[timer]`, `#[timer(every = ..)]` or `#[timer(after = ..)]`.
fn start(attribute: &Attribute) -> Result<Start> {
    if attribute.meta.require_path_only().is_ok() {
        return Ok(Start::Never);
    }
    let list = attribute.meta.require_list()?;
    let parse = |input: ParseStream<'_>| {
        let key: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        if input.is_empty() {
            return Err(input.error("expected a duration"));
        }
        let when = input.parse()?;
        match key.to_string().as_str() {
            "every" => Ok(Start::Every(when)),
            "after" => Ok(Start::After(when)),
            _ => Err(Error::new(
                key.span(),
                "expected `every = ..` or `after = ..`",
            )),
        }
    };
    parse.parse2(list.tokens.clone())
}
