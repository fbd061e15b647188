//! The cases of loops, and of typed messages.

use super::{
    Actix, Case, Entry, Kameo, PublishedServer, Ractor, Ump, UmpServer, Xtra, Yield,
    async_to_blocking, blocking, on_one_thread, thread_floors,
};
use crate::contenders::typed::{AsyncService, Service, Typed};

/// The cost of a loop over its channel, beside the published loops and actors.
pub(super) fn untyped() -> Vec<Case> {
    vec![
        Case::new(
            "loop-blocking-1",
            "A thread asks a loop on a thread; `ump` is the bare channel.",
            1,
        )
        .with(thread_floors())
        .with(entries![blocking, u64: Ump, UmpServer, PublishedServer]),
        Case::new(
            "loop-blocking-4",
            "4 threads ask a loop on a thread; `ump` is the bare channel.",
            4,
        )
        .with(thread_floors())
        .with(entries![blocking, u64: Ump, UmpServer, PublishedServer]),
        Case::new(
            "loop-async-1",
            "A task asks a loop on a task, on one executor thread; `ump` is the bare channel.",
            1,
        )
        .with(entries![on_one_thread, u64: Yield])
        .with(entries![on_one_thread, u64: Ump, UmpServer, PublishedServer])
        .with(actors![on_one_thread])
        .with(entries![on_one_thread, u64: Actix]),
        Case::new(
            "loop-async-to-blocking-1",
            "A task asks a loop on a thread; `ump` is the bare channel.",
            1,
        )
        .with(thread_floors())
        .with(entries![async_to_blocking, u64: Ump, UmpServer, PublishedServer]),
    ]
}

/// The cost of typed messages over the channel, and of typed methods over the loop.
pub(super) fn typed() -> Vec<Case> {
    vec![
        Case::new(
            "typed-blocking-1",
            "A thread asks a thread; `ump typed` by a message that names its reply, `service` by a method.",
            1,
        )
        .with(entries![blocking, u64: Ump, Typed, UmpServer, Service]),
        Case::new(
            "typed-async-1",
            "A task asks a task, on one executor thread; the same contenders.",
            1,
        )
        .with(entries![on_one_thread, u64: Ump, Typed, UmpServer, AsyncService]),
    ]
}
