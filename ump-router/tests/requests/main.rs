//! A request by topic ends exactly once: in the reply of its topic's server, or in one definite
//! error.

mod all;
mod claims;
mod contention;
mod counting_waker;
mod handover;
mod loops;
mod outcomes;
mod pinned;
mod refused;
mod stream_ext;
mod wait_for_server;

use std::{thread, time::Duration};

use ump_router::{Call, RequestMessage, Server};

/// Its server doubles it, and refuses zero.
#[derive(Debug, PartialEq)]
struct Double(u64);

impl RequestMessage for Double {
    type Reply = u64;
    type Error = &'static str;
    const PREFIX: &'static str = "double";
}

const LONG: Duration = Duration::from_secs(60);

fn double(number: u64) -> Result<u64, &'static str> {
    if number == 0 {
        return Err("nothing");
    }
    Ok(number * 2)
}

/// Serves all queued requests, and returns their topics.
fn serve_all(server: &Server<Double>) -> Vec<String> {
    let mut topics = Vec::new();
    while let Ok(Some((Call { topic, message }, rctx))) = server.try_pop() {
        topics.push(topic.to_string());
        let _ = match double(message.0) {
            Ok(reply) => rctx.reply(reply),
            Err(refusal) => rctx.fail(refusal),
        };
    }
    topics
}

/// Spawns a thread that serves until no client is left.
fn spawn(server: Server<Double>) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let mut served = 0;
        for (call, rctx) in &server {
            served += 1;
            let _ = rctx.reply(call.message.0 * 2);
        }
        served
    })
}
