//! Requests from clients to a server, through the hub.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender as Channel, channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use ump_router::{
    Bytes, Topic,
    link::{
        session::{Call, Event, Outcome},
        wire::Codec,
    },
};

use super::{
    Options, joined,
    statistics::{Times, rate},
};
use crate::{
    client::{Link, Sender, Step, status_error},
    exit::{Error, Exit},
};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a client has measured.
#[derive(Debug, Default)]
struct Measured {
    done: u64,
    failed: u64,
    times: Times,
}

pub(super) fn run(options: &Options, topic: &Topic, count: &AtomicU64) -> Result<Json, Error> {
    thread::scope(|scope| {
        let (ready, is_ready) = channel();
        let server = scope.spawn(move || serve(options, topic, &ready));
        let Ok(stop) = is_ready.recv() else {
            joined(server.join())?;
            return Err(Error::new(Exit::Lost, "the server has ended"));
        };
        let begun = Instant::now();
        let clients: Vec<_> = (0..options.clients)
            .map(|_| scope.spawn(move || ask(options, topic, count)))
            .collect();
        let mut all = Measured::default();
        let mut ended = Ok(());
        for client in clients {
            match joined(client.join()) {
                Ok(measured) => {
                    all.done += measured.done;
                    all.failed += measured.failed;
                    all.times.append(measured.times);
                }
                Err(error) => ended = Err(error),
            }
        }
        let time = begun.elapsed();
        stop.send(());
        joined(server.join())?;
        ended?;
        Ok(json!({
            "clients": options.clients,
            "in_flight": options.in_flight,
            "done": all.done,
            "failed": all.failed,
            "per_second": rate(all.done, time),
            "micros": all.times.summary(),
        }))
    })
}

/// Serves the topic until the benchmark stops it.
fn serve(options: &Options, topic: &Topic, ready: &Channel<Sender<()>>) -> Result<(), Error> {
    let mut link: Link<()> = options.server.open()?;
    link.session.serve(topic, false)?;
    loop {
        match link.next(None)? {
            Step::Event(Event::Served { status, text, .. }) => {
                if let Some(error) = status_error(topic.as_str(), status, &text) {
                    return Err(error);
                }
                // An error if the command has given up.
                let _ = ready.send(link.sender());
            }
            Step::Event(Event::Request {
                request,
                codec,
                payload,
                ..
            }) if link.session.take(Instant::now(), request) => {
                // The caller may have left.
                let _ = link.session.reply(request, codec, Ok(&payload));
            }
            Step::Input(()) => {
                link.leave();
                return Ok(());
            }
            _ => {}
        }
    }
}

/// Makes requests until the time is over.
fn ask(options: &Options, topic: &Topic, count: &AtomicU64) -> Result<Measured, Error> {
    let mut link: Link<()> = options.server.open()?;
    let payload = Bytes::from(vec![0; options.size as usize]);
    let end = Instant::now() + options.time;
    let mut pending = BTreeMap::new();
    let mut measured = Measured::default();
    loop {
        let now = Instant::now();
        while now < end && pending.len() < options.in_flight as usize {
            let call = Call {
                topic: topic.clone(),
                deadline: Some(now + TIMEOUT),
                codec: Codec::Raw,
                payload: payload.clone(),
            };
            pending.insert(link.session.request(now, &call)?, Instant::now());
        }
        if pending.is_empty() {
            link.leave();
            return Ok(measured);
        }
        let Step::Event(Event::Ended { request, outcome }) = link.next(None)? else {
            continue;
        };
        let Some(begun) = pending.remove(&request) else {
            continue;
        };
        match outcome {
            Outcome::Reply { .. } => {
                measured.times.add(begun.elapsed());
                measured.done += 1;
                // ORDERING: pairs with nothing; a count.
                count.fetch_add(1, Ordering::Relaxed);
            }
            _ => measured.failed += 1,
        }
    }
}
