//! What takes part in a case, with its processes.

use std::{
    future::Future,
    io::Read as _,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{runtime::Runtime, sync::Semaphore, time::timeout};

use crate::{
    children::{Process, Skipped, own_cpu, own_waits},
    measure::{self, Lap},
    peer::{BATCH, Caller, Failed, Kind, Peer, Publisher, one_thread, two_threads},
};

/// How long to wait for what takes milliseconds.
const LONG: Duration = Duration::from_secs(5);
/// How long what is in flight may take at most.
const STUCK: Duration = Duration::from_secs(30);
/// How many deliveries to each subscriber may be outstanding, in batches.
const WINDOW: u64 = 8;

/// What takes part in a case.
pub(crate) struct Contender {
    pub(crate) name: String,
    lap: Box<dyn FnMut(u64) -> Result<Lap, Failed>>,
    processes: Vec<Process>,
}

/// A lap with its CPU time, in all processes.
pub(crate) struct Measured {
    pub(crate) lap: Lap,
    pub(crate) cpu: Duration,
    /// How often a thread has waited.
    pub(crate) waits: u64,
}

impl Drop for Contender {
    /// Ends the clients before their bus.
    fn drop(&mut self) {
        while self.processes.pop().is_some() {}
    }
}

impl Contender {
    pub(crate) fn new(
        name: impl Into<String>,
        processes: Vec<Process>,
        lap: impl FnMut(u64) -> Result<Lap, Failed> + 'static,
    ) -> Self {
        let (name, lap) = (name.into(), Box::new(lap));
        Self {
            name,
            lap,
            processes,
        }
    }

    pub(crate) fn lap(&mut self, times: u64) -> Result<Measured, Failed> {
        let (cpu, waits) = (self.cpu(), self.waits());
        let lap = (self.lap)(times)?;
        Ok(Measured {
            lap,
            cpu: self.cpu().saturating_sub(cpu),
            waits: self.waits().saturating_sub(waits),
        })
    }

    fn waits(&self) -> u64 {
        let others: u64 = self.processes.iter().map(Process::waits).sum();
        own_waits() + others
    }

    fn cpu(&self) -> Duration {
        let others: Duration = self.processes.iter().map(Process::cpu).sum();
        own_cpu() + others
    }

    /// Returns how many messages take so long.
    pub(crate) fn messages_in(&mut self, time: Duration) -> Result<u64, Failed> {
        let mut times = 32;
        loop {
            let lap = self.lap(times)?.lap;
            if lap.elapsed * 4 >= time {
                let rate = as_f64(lap.messages) / lap.elapsed.as_secs_f64();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "few"
                )]
                return Ok((rate * time.as_secs_f64()).ceil() as u64);
            }
            times *= 4;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few million")]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Requests one after the other, to a server in the process of the bus or in another one.
pub(crate) fn requests<P: Peer>(
    kind: Kind,
    payload: &Bytes,
    by_bus: bool,
) -> Result<Contender, Skipped> {
    let runtime = one_thread();
    let (processes, callers) = callers::<P>(&runtime, kind, payload, by_bus, 1)?;
    let payload = payload.clone();
    Ok(Contender::new(P::NAME, processes, move |times| {
        runtime.block_on(measure::one_by_one_async(times, async || {
            measure::ask(&callers[0], &payload).await
        }))
    }))
}

/// Many requests at once, by so many connections.
pub(crate) fn pipelined<P: Peer>(
    kind: Kind,
    payload: &Bytes,
    by_bus: bool,
    count: usize,
) -> Result<Contender, Skipped> {
    let runtime = two_threads();
    let (processes, callers) = callers::<P>(&runtime, kind, payload, by_bus, count)?;
    let payload = payload.clone();
    Ok(Contender::new(P::NAME, processes, move |times| {
        runtime.block_on(measure::pipelined(&callers, &payload, times))
    }))
}

/// Starts the processes and makes the connections of callers, which have had a reply.
fn callers<P: Peer>(
    runtime: &Runtime,
    kind: Kind,
    payload: &Bytes,
    by_bus: bool,
    count: usize,
) -> Result<(Vec<Process>, Vec<P::Caller>), Skipped> {
    let mut processes = vec![P::bus(kind, by_bus)?];
    let address = processes[0].address.clone();
    if !by_bus {
        processes.push(Process::of(&["server", P::NAME, &address])?);
    }
    let callers = runtime.block_on(async {
        let mut callers = Vec::new();
        for _ in 0..count {
            let caller = in_time(P::caller(&address)).await?;
            await_reply(&caller, payload).await?;
            callers.push(caller);
        }
        Ok(callers)
    })?;
    Ok((processes, callers))
}

/// Asks until there is a reply.
pub(crate) async fn await_reply(caller: &impl Caller, payload: &Bytes) -> Result<(), Skipped> {
    let begin = Instant::now();
    loop {
        let error = match timeout(LONG, caller.request(payload)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it takes too long".to_owned(),
        };
        if begin.elapsed() > LONG {
            return Err(Skipped(format!("no reply: {error}")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn in_time<T>(it: impl Future<Output = Result<T, Failed>>) -> Result<T, Skipped> {
    match timeout(LONG, it).await {
        Ok(result) => result.map_err(|error| Skipped(error.to_string())),
        Err(_) => Err(Skipped("no connection".to_owned())),
    }
}

/// Messages to so many subscribers, each with a connection of its own.
pub(crate) fn fan_out<P: Peer>(
    kind: Kind,
    payload: &Bytes,
    subscribers: usize,
) -> Result<Contender, Skipped> {
    let bus = P::bus(kind, false)?;
    let count = subscribers.to_string();
    let mut process = Process::of(&["subscribers", P::NAME, &bus.address, &count])?;
    let runtime = one_thread();
    let publisher = runtime.block_on(in_time(P::publisher(&bus.address)))?;
    let subscribers = subscribers as u64;
    // A permit for each batch of deliveries.
    let room = Arc::new(Semaphore::new(0));
    let (permits, mut output) = (Arc::clone(&room), process.output());
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            permits.add_permits(count);
        }
        permits.close();
    });
    let payload = payload.clone();
    // Nobody publishes before all are known to have subscribed.
    runtime.block_on(async {
        let begin = Instant::now();
        let mut sent = 0;
        loop {
            let published = publisher.publish(&payload, BATCH).await;
            published.map_err(|error| Skipped(error.to_string()))?;
            sent += 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let heard = room.available_permits() as u64;
            if heard == subscribers {
                room.forget_permits(room.available_permits());
                return Ok(());
            }
            room.forget_permits(room.available_permits());
            if begin.elapsed() > LONG {
                return Err(Skipped(format!(
                    "{heard} of {subscribers} messages came, {sent} times"
                )));
            }
        }
    })?;
    room.add_permits(usize::try_from(WINDOW * subscribers).unwrap_or(0));
    Ok(Contender::new(
        P::NAME,
        vec![bus, process],
        move |deliveries| {
            let batches = deliveries.div_ceil(BATCH * subscribers);
            let begin = Instant::now();
            runtime.block_on(async {
                for _ in 0..batches {
                    take(&room, subscribers).await?;
                    publisher.publish(&payload, BATCH).await?;
                }
                take(&room, WINDOW * subscribers).await
            })?;
            let elapsed = begin.elapsed();
            room.add_permits(usize::try_from(WINDOW * subscribers).unwrap_or(0));
            Ok(Lap {
                messages: batches * BATCH * subscribers,
                elapsed,
                each: Vec::new(),
            })
        },
    ))
}

async fn take(room: &Semaphore, count: u64) -> Result<(), Failed> {
    let permits = room.acquire_many(u32::try_from(count).unwrap_or(0));
    let permits = timeout(STUCK, permits).await;
    permits.map_err(|_| "messages are missing")??.forget();
    Ok(())
}
