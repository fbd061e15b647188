//! A program for the thread sanitizer and valgrind: all operations that move data between threads,
//! repeated.
//!
//! The standard library is not compiled with the sanitizer, so its synchronisation (parking,
//! scopes, mutexes, channels, `OnceLock`) is not seen. Starting and joining threads is seen, and
//! only `ump` is between them. Messages and replies point to data that is written and read without
//! atomics: a missing happens-before edge is reported.
//!
//! `races [ROUNDS]`, by default 200.

#![forbid(unsafe_code)]

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

use tests::{LONG, block_on, poll_once};
use ump::{Builder, Client, ReplyContext, Server, Spin};

/// On the heap, so that it is reached through a pointer that the channel transfers.
type Load = Vec<u64>;

type Asker = Client<Load, Load, Load>;

const REQUESTS: u64 = 40;

fn load(n: u64) -> Load {
    vec![n; 8]
}

fn answer((message, rctx): (Load, ReplyContext<Load, Load>)) {
    let sum = message.iter().sum::<u64>();
    // The caller may have left.
    let _ = match sum % 5 {
        0 => rctx.answer(Err(message)),
        1 => {
            drop(rctx);
            return;
        }
        2 => {
            let elsewhere = thread::spawn(move || rctx.answer(Ok(message)));
            elsewhere.join().expect("it does not panic")
        }
        _ => rctx.answer(Ok(message)),
    };
}

fn serve(server: &Server<Load, Load, Load>, way: usize) {
    match way % 3 {
        0 => server.iter().for_each(answer),
        1 => block_on(async {
            while let Ok(job) = server.async_wait().await {
                answer(job);
            }
        }),
        _ => {
            let mut batch = Vec::new();
            while server.wait_many(&mut batch, 8).is_ok() {
                batch.drain(..).for_each(answer);
            }
        }
    }
}

/// Returns the number of replies.
fn ask(client: &Asker, from: u64) -> usize {
    let mut replied = 0;
    let mut check = |n: u64, reply: Option<Load>| {
        if let Some(reply) = reply {
            assert_eq!(reply, load(n));
            replied += 1;
        }
    };
    for n in from..from + REQUESTS {
        match n % 7 {
            0 => check(n, client.req(load(n)).ok()),
            1 => check(n, block_on(client.areq(load(n))).ok()),
            2 => {
                let replies = [n, n + 1, n + 2].map(|n| (n, client.req_async(load(n))));
                for (n, reply) in replies {
                    check(n, reply.ok().and_then(|reply| reply.wait().ok()));
                }
            }
            3 => drop(client.req_async(load(n))),
            4 => drop(poll_once(&mut Box::pin(client.areq(load(n))))),
            5 => {
                let timeout = if n % 2 == 0 {
                    LONG
                } else {
                    Duration::from_micros(5)
                };
                check(
                    n,
                    client
                        .request(load(n))
                        .timeout(timeout)
                        .urgent()
                        .wait()
                        .ok(),
                );
            }
            _ => drop(client.post(load(n)).wait()),
        }
    }
    replied
}

fn round(spin: Spin, capacity: usize, seed: usize) -> usize {
    let ends = Builder::new().spin(spin).capacity(capacity).build();
    let (server, client) = ends.expect("there is room for one");
    let servers = thread::spawn(move || serve(&server, seed));
    let clients = [0, 1_000].map(|from| {
        let client = client.clone();
        thread::spawn(move || ask(&client, from + seed as u64))
    });
    let own = ask(&client, 2_000 + seed as u64);
    drop(client);
    let others = clients.map(|client| client.join().expect("it does not panic"));
    servers.join().expect("it does not panic");
    own + others.iter().sum::<usize>()
}

fn main() -> ExitCode {
    let rounds = match env::args().nth(1).map(|rounds| rounds.parse()) {
        None => 200,
        Some(Ok(rounds)) => rounds,
        Some(Err(why)) => {
            let _ = writeln!(io::stderr(), "ROUNDS is a number: {why}");
            return ExitCode::FAILURE;
        }
    };
    let mut replied = 0;
    for seed in 0..rounds {
        let spin = if seed % 4 == 0 {
            Spin::Never
        } else {
            Spin::Adaptive
        };
        let capacity = if seed % 3 == 0 { 2 } else { usize::MAX };
        replied += round(spin, capacity, seed);
    }
    // Errors are ignored. A writer thread as in the examples would use channels that the sanitizer
    // does not see.
    let _ = writeln!(
        io::stdout(),
        "{rounds} rounds, {replied} requests replied to"
    );
    ExitCode::SUCCESS
}
