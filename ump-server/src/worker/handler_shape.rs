//! The two shapes of handlers, the same on a thread and on a task.

use std::{fmt, marker::PhantomData};

/// The shape of a [`thread::Service`](crate::thread::Service) or a `task::Service`.
#[derive(Debug)]
pub enum ByTypes {}

/// The shape of a [`thread::Handler`](crate::thread::Handler) or a `task::Handler` with these
/// parameters.
pub struct ByParameters<S, R, E, RV, T>(PhantomData<fn(S, T) -> (R, E, RV)>);

impl<S, R, E, RV, T> fmt::Debug for ByParameters<S, R, E, RV, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByParameters")
    }
}

/// A handler of the published shape as a service, made by
/// [`thread::IntoService`](crate::thread::IntoService) or `task::IntoService`.
pub struct HandlerService<H, S, R, E, RV, T> {
    pub(crate) handler: H,
    shape: PhantomData<ByParameters<S, R, E, RV, T>>,
}

impl<H, S, R, E, RV, T> HandlerService<H, S, R, E, RV, T> {
    pub(crate) fn new(handler: H) -> Self {
        Self {
            handler,
            shape: PhantomData,
        }
    }
}

impl<H, S, R, E, RV, T> fmt::Debug for HandlerService<H, S, R, E, RV, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerService").finish_non_exhaustive()
    }
}
