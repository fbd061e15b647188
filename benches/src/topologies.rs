//! The threads and tasks of each case, written once and compiled for each contender.
//!
//! All clients meet at a first barrier when they are warm. Then the usage of the process is read,
//! and a second barrier lets them go. After a third barrier it is read again. Starting and ending
//! threads, tasks and runtimes is not measured.

use std::{
    ops::Range,
    sync::{Arc, Barrier, mpsc},
    thread,
    time::Instant,
};

use tokio::{
    runtime::{Builder, Runtime},
    task::LocalSet,
};

use crate::{
    allocations,
    contenders::{
        AsyncClient, AsyncPipeline, AsyncServer, BlockingClient, BlockingPipeline, BlockingServer,
    },
    message::Message,
    sample::{Lap, Load, Meter, Purpose, Sample, Usage},
};

/// The number of outstanding requests of a pipelining client.
pub(crate) const DEPTH: usize = 64;

/// Threads call threads.
pub(crate) fn blocking<C: BlockingClient<M> + BlockingServer<M>, M: Message>(
    load: &Load,
) -> Sample {
    with_server_threads::<C, M>(load, |clients| {
        from_threads(load, clients, ask_in_turn::<C, M>)
    })
}

/// A thread sends many requests to a thread before it waits for the replies.
pub(crate) fn pipelined_blocking<C: BlockingPipeline<M> + BlockingServer<M>, M: Message>(
    load: &Load,
) -> Sample {
    with_server_threads::<C, M>(load, |clients| {
        from_threads(load, clients, ask_many::<C, M>)
    })
}

/// Tasks of a runtime with one thread call a thread.
pub(crate) fn async_to_blocking<C: AsyncClient<M> + BlockingServer<M>, M: Message>(
    load: &Load,
) -> Sample {
    with_server_threads::<C, M>(load, |clients| {
        one_thread().block_on(from_tasks(load, clients, ask_in_turn_async::<C, M>))
    })
}

/// Threads call a task of a runtime with one thread.
pub(crate) fn blocking_to_async<C: BlockingClient<M> + AsyncServer<M>, M: Message>(
    load: &Load,
) -> Sample {
    let shape = load.shape;
    let (started, start) = mpsc::channel();
    let server = thread::spawn(move || {
        one_thread().block_on(async {
            let (client, server) = C::start_async(shape).await;
            started.send(client).expect("somebody waits");
            server.await.expect("the server ends well");
        });
    });
    let client = start.recv().expect("a client");
    let sample = from_threads(load, several(load, client), ask_in_turn::<C, M>);
    server.join().expect("the server ends well");
    sample
}

/// Tasks of a runtime with this many workers call a thread.
pub(crate) fn workers_to_blocking<
    const WORKERS: usize,
    C: AsyncClient<M> + BlockingServer<M>,
    M: Message,
>(
    load: &Load,
) -> Sample {
    with_server_threads::<C, M>(load, |clients| {
        threads(WORKERS).block_on(from_tasks(load, clients, ask_in_turn_async::<C, M>))
    })
}

/// Threads call a task of a runtime with this many workers.
pub(crate) fn blocking_to_workers<
    const WORKERS: usize,
    C: BlockingClient<M> + AsyncServer<M>,
    M: Message,
>(
    load: &Load,
) -> Sample {
    let runtime = threads(WORKERS);
    let (client, server) = runtime.block_on(C::start_async(load.shape));
    let sample = from_threads(load, several(load, client), ask_in_turn::<C, M>);
    runtime.block_on(server).expect("the server ends well");
    sample
}

/// Tasks call a task, all on one thread.
pub(crate) fn on_one_thread<C: AsyncClient<M> + AsyncServer<M>, M: Message>(load: &Load) -> Sample {
    on::<C, M, _>(&one_thread(), load, ask_in_turn_async::<C, M>)
}

/// Tasks call a task, on two threads.
pub(crate) fn on_two_threads<C: AsyncClient<M> + AsyncServer<M>, M: Message>(
    load: &Load,
) -> Sample {
    on::<C, M, _>(&threads(2), load, ask_in_turn_async::<C, M>)
}

/// A task sends many requests to a task before it waits for the replies, on one thread.
pub(crate) fn pipelined_async<C: AsyncPipeline<M> + AsyncServer<M>, M: Message>(
    load: &Load,
) -> Sample {
    on::<C, M, _>(&one_thread(), load, ask_many_async::<C, M>)
}

/// A task drops every second request before its reply, on one thread.
pub(crate) fn cancelled<C: AsyncPipeline<M> + AsyncServer<M>, M: Message>(load: &Load) -> Sample {
    on::<C, M, _>(&one_thread(), load, drop_every_second::<C, M>)
}

fn ask_in_turn<C: BlockingClient<M>, M: Message>(
    client: &mut C::Client,
    requests: u64,
    meter: &mut Meter,
) {
    for n in 0..requests {
        let start = meter.start();
        C::ask(client, M::new(n)).check(n);
        meter.stop(start);
    }
}

async fn ask_in_turn_async<C: AsyncClient<M>, M: Message>(
    mut client: C::Client,
    requests: u64,
    mut meter: Meter,
) -> (C::Client, Meter) {
    for n in 0..requests {
        let start = meter.start();
        C::ask_async(&mut client, M::new(n)).await.check(n);
        meter.stop(start);
    }
    (client, meter)
}

fn ask_many<C: BlockingPipeline<M>, M: Message>(
    client: &mut C::Client,
    requests: u64,
    meter: &mut Meter,
) {
    let mut outstanding = Vec::new();
    for ns in batches(requests) {
        outstanding.extend(ns.map(|n| (n, meter.start(), C::submit(client, M::new(n)))));
        for (n, start, pending) in outstanding.drain(..) {
            C::wait(client, pending).check(n);
            meter.stop(start);
        }
    }
}

async fn ask_many_async<C: AsyncPipeline<M>, M: Message>(
    mut client: C::Client,
    requests: u64,
    mut meter: Meter,
) -> (C::Client, Meter) {
    let mut outstanding = Vec::new();
    for ns in batches(requests) {
        outstanding.extend(ns.map(|n| (n, meter.start(), C::submit(&mut client, M::new(n)))));
        for (n, start, pending) in outstanding.drain(..) {
            C::wait_async(&mut client, pending).await.check(n);
            meter.stop(start);
        }
    }
    (client, meter)
}

fn batches(requests: u64) -> impl Iterator<Item = Range<u64>> + Send {
    let depth = DEPTH as u64;
    (0..requests / depth).map(move |batch| batch * depth..(batch + 1) * depth)
}

async fn drop_every_second<C: AsyncPipeline<M>, M: Message>(
    mut client: C::Client,
    requests: u64,
    mut meter: Meter,
) -> (C::Client, Meter) {
    for n in 0..requests {
        let start = meter.start();
        let pending = C::submit(&mut client, M::new(n));
        if n % 2 == 0 {
            C::wait_async(&mut client, pending).await.check(n);
            meter.stop(start);
        }
    }
    (client, meter)
}

fn with_server_threads<C: BlockingServer<M>, M>(
    load: &Load,
    ask: impl FnOnce(Vec<C::Client>) -> Sample,
) -> Sample {
    let (clients, servers): (Vec<_>, Vec<_>) = (0..load.shape.channels)
        .map(|_| C::start(load.shape))
        .unzip();
    let sample = ask(clients
        .into_iter()
        .flat_map(|client| several(load, client))
        .collect());
    for server in servers {
        server.join().expect("the server ends well");
    }
    sample
}

fn on<C: AsyncServer<M>, M, F: Future<Output = (C::Client, Meter)> + Send + 'static>(
    runtime: &Runtime,
    load: &Load,
    ask: impl Fn(C::Client, u64, Meter) -> F + Copy + Send + 'static,
) -> Sample {
    // Only actix has something in the local set.
    runtime.block_on(LocalSet::new().run_until(async {
        let (client, server) = C::start_async(load.shape).await;
        let sample = from_tasks(load, several(load, client), ask).await;
        server.await.expect("the server ends well");
        sample
    }))
}

/// Makes a client for each caller. A single client is not a clone.
fn several<C: Clone>(load: &Load, client: C) -> Vec<C> {
    let mut clients: Vec<C> = (1..load.shape.clients).map(|_| client.clone()).collect();
    clients.push(client);
    clients
}

fn from_threads<C: Send>(
    load: &Load,
    clients: Vec<C>,
    ask: impl Fn(&mut C, u64, &mut Meter) + Sync,
) -> Sample {
    let gate = Barrier::new(clients.len() + 1);
    thread::scope(|scope| {
        let client_thread = |mut client: C| {
            let (gate, ask) = (&gate, &ask);
            scope.spawn(move || {
                let mut meter = Meter::new(load);
                ask(&mut client, load.warm_up, &mut Meter::off());
                gate.wait();
                gate.wait();
                let start = Instant::now();
                ask(&mut client, load.requests, &mut meter);
                let end = Instant::now();
                gate.wait();
                Lap { start, end, meter }
            })
        };
        let threads: Vec<_> = clients.into_iter().map(client_thread).collect();
        gate.wait();
        let before = begin(load);
        gate.wait();
        gate.wait();
        let usage = end(before);
        let join = |thread: thread::ScopedJoinHandle<'_, Lap>| thread.join().expect("all replies");
        Sample::new(load, usage, threads.into_iter().map(join).collect())
    })
}

async fn from_tasks<C: Send + 'static, F: Future<Output = (C, Meter)> + Send + 'static>(
    load: &Load,
    clients: Vec<C>,
    ask: impl Fn(C, u64, Meter) -> F + Copy + Send + 'static,
) -> Sample {
    let gate = Arc::new(tokio::sync::Barrier::new(clients.len() + 1));
    let client_task = |client: C| {
        let (gate, load) = (Arc::clone(&gate), *load);
        tokio::spawn(async move {
            let meter = Meter::new(&load);
            let (client, _) = ask(client, load.warm_up, Meter::off()).await;
            gate.wait().await;
            gate.wait().await;
            let start = Instant::now();
            let (_client, meter) = ask(client, load.requests, meter).await;
            let end = Instant::now();
            gate.wait().await;
            Lap { start, end, meter }
        })
    };
    let tasks: Vec<_> = clients.into_iter().map(client_task).collect();
    gate.wait().await;
    let before = begin(load);
    gate.wait().await;
    gate.wait().await;
    let usage = end(before);
    let mut laps = Vec::new();
    for task in tasks {
        laps.push(task.await.expect("all replies"));
    }
    Sample::new(load, usage, laps)
}

fn begin(load: &Load) -> Usage {
    allocations::enable(load.purpose == Purpose::Allocations);
    Usage::now()
}

fn end(before: Usage) -> Usage {
    allocations::enable(false);
    Usage::now() - before
}

pub(crate) fn one_thread() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn threads(count: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(count)
        .build()
        .expect("a runtime")
}
