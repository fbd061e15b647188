#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod async_trait;
mod service;
mod tokens;

use proc_macro::TokenStream;

/// Accepts an implementation of `ump_server::task::Handler` in the form of `ump-server` 0.4.
///
/// In 0.4 the trait used the crate `async-trait`. Now its methods are native `async fn`s, nothing
/// is boxed, and a handler needs no attribute. For handlers that still have one, this attribute
///
/// - writes the lifetime of `ReplyContext<R, E>` in the parameters of methods, which an `async fn`
///   must not leave out;
/// - makes `init` and `term`, which were not async in 0.4, `async fn`s;
/// - leaves everything else as it is.
///
/// ```
/// use std::ops::ControlFlow;
/// use ump_server::{AsyncHandler, ReplyContext, WeakClient, async_trait};
///
/// struct Echo;
///
/// #[async_trait]
/// impl AsyncHandler<u32, u32, (), ()> for Echo {
///     fn init(&mut self, _: WeakClient<u32, u32, ()>) {}
///
///     async fn proc_req(&mut self, msg: u32, rctx: ReplyContext<u32, ()>) -> ControlFlow<()> {
///         let _ = rctx.reply(msg);
///         ControlFlow::Continue(())
///     }
/// }
/// ```
///
/// # Errors
/// Compilation fails if the attribute has arguments, or if it is on anything but an `impl` block of
/// `Handler` or `AsyncHandler`. For other traits use the crate `async-trait`.
///
/// ```compile_fail
/// #[ump_server::async_trait]
/// trait Fetch {
///     async fn fetch(&self) -> u32;
/// }
/// ```
///
/// ```compile_fail
/// # use std::ops::ControlFlow;
/// # use ump_server::{AsyncHandler, ReplyContext};
/// # struct Echo;
/// #[ump_server::async_trait(?Send)]
/// impl AsyncHandler<u32, u32, (), ()> for Echo {
///     async fn proc_req(&mut self, msg: u32, rctx: ReplyContext<'_, u32, ()>) -> ControlFlow<()> {
///         ControlFlow::Continue(())
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn async_trait(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match async_trait::expand(arguments, item.clone()) {
        Ok(item) => item,
        // The item is kept, so that an editor still knows its names.
        Err(error) => error.to_compile_error().into_iter().chain(item).collect(),
    }
}

/// Makes a service of an `impl` block: its methods become requests, with a typed client.
#[proc_macro_attribute]
pub fn service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(arguments.into(), &item.into()).into()
}
