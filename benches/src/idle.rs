//! The cost of idling: a process with a blocking and an async server, which have served and now
//! wait.

use std::{
    fs,
    io::{Error, Result},
    process, thread,
    time::Duration,
};

use crate::{
    contenders::{
        AsyncChannel, AsyncClient, AsyncServer, BlockingClient, BlockingServer, Flume, Kanal,
        Shape, Tokio, published::Published, ump::Ump,
    },
    message::Message,
    results::Idle,
    sample::Usage,
    topologies::one_thread,
};

/// The contenders.
pub(crate) fn all() -> Vec<(String, fn(u64) -> Result<Idle>)> {
    fn entry<C: BlockingClient<u64> + BlockingServer<u64> + AsyncClient<u64> + AsyncServer<u64>>()
    -> (String, fn(u64) -> Result<Idle>) {
        (C::name(), measure::<C>)
    }
    vec![
        entry::<Ump>(),
        entry::<Published>(),
        entry::<Tokio>(),
        entry::<Flume>(),
        entry::<Kanal>(),
        entry::<AsyncChannel>(),
    ]
}

fn measure<C: BlockingClient<u64> + BlockingServer<u64> + AsyncClient<u64> + AsyncServer<u64>>(
    seconds: u64,
) -> Result<Idle> {
    const REQUESTS: u64 = 5_000;
    let shape = Shape {
        channels: 1,
        clients: 1,
        depth: 1,
    };
    let (mut asks_thread, _server) = <C as BlockingServer<u64>>::start(shape);
    for n in 0..REQUESTS {
        C::ask(&mut asks_thread, n).check(n);
    }
    let (ready, wait_until_ready) = std::sync::mpsc::channel();
    let _runtime = thread::spawn(move || {
        one_thread().block_on(async {
            let (mut asks_task, server) = C::start_async(shape).await;
            for n in 0..REQUESTS {
                C::ask_async(&mut asks_task, n).await.check(n);
            }
            ready.send(()).expect("somebody waits");
            // The client stays, so the server waits.
            let _ = server.await;
            drop(asks_task);
        });
    });
    wait_until_ready.recv().map_err(Error::other)?;
    thread::sleep(Duration::from_millis(200));

    let switches = context_switches()?;
    let before = Usage::now();
    thread::sleep(Duration::from_secs(seconds));
    let usage = Usage::now() - before;
    let switches = context_switches()? - switches;
    Ok(Idle {
        name: C::name(),
        seconds,
        context_switches: switches,
        cpu_milliseconds: usage.cpu().as_secs_f64() * 1e3,
    })
}

/// The usage of all threads except the main thread, which is this one.
fn context_switches() -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        if task.file_name() == process::id().to_string().as_str() {
            continue;
        }
        let status = fs::read_to_string(task.path().join("status"))?;
        for line in status
            .lines()
            .filter(|line| line.contains("voluntary_ctxt_switches:"))
        {
            let number = line.split_whitespace().next_back().unwrap_or("0");
            sum += number.parse::<u64>().map_err(Error::other)?;
        }
    }
    Ok(sum)
}
