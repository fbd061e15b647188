//! Round trips: the physical limits, this crate and its nearest peers, in one process, interleaved, as medians of rounds.
//!
//! `cargo run --release -p benches [-- --quick]` prints a Markdown table. What counts are ratios within one run.
//! `taskset -c 0` before it shows what happens where only one thread can run at a time.

mod allocations;
mod cases;
mod floors;

use std::{hint::black_box, thread, time::Instant};

/// A measured thing: does so many round trips and checks every reply.
struct Case {
    name: &'static str,
    run: fn(u64),
}

const CASES: &[Case] = &[
    Case {
        name: "floor: two threads, one atomic",
        run: floors::raw_spin,
    },
    Case {
        name: "floor: two threads, park/unpark",
        run: floors::raw_park,
    },
    Case {
        name: "ump: blocking client, blocking server",
        run: cases::blocking,
    },
    Case {
        name: "ump: the same, with a timeout",
        run: cases::blocking_with_timeout,
    },
    Case {
        name: "ump: 4 blocking clients, blocking server",
        run: cases::four_blocking,
    },
    Case {
        name: "ump: async client, blocking server",
        run: cases::asynchronous_to_blocking,
    },
    Case {
        name: "ump: blocking client, async server",
        run: cases::blocking_to_asynchronous,
    },
    Case {
        name: "ump: async, one executor thread",
        run: cases::asynchronous,
    },
    Case {
        name: "published ump 0.13: blocking client, blocking server",
        run: cases::published_blocking,
    },
    Case {
        name: "published ump 0.13: async, one executor thread",
        run: cases::published_asynchronous,
    },
    Case {
        name: "tokio mpsc+oneshot: async, one executor thread",
        run: cases::tokio_asynchronous,
    },
    Case {
        name: "std mpsc, both ways: blocking, blocking",
        run: cases::std_blocking,
    },
];

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (rounds, trips) = if quick { (5, 5_000) } else { (15, 50_000) };
    let one_cpu = thread::available_parallelism().is_ok_and(|cpus| cpus.get() == 1);
    // Two threads that spin for each other on one CPU lose a time slice each time.
    let cases = &CASES[usize::from(one_cpu)..];
    let mut results: Vec<Vec<Sample>> = cases.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (case, samples) in cases.iter().zip(&mut results) {
            eprint!("\rround {} of {rounds}: {:<60}", round + 1, case.name);
            (case.run)(trips / 10);
            samples.push(Sample::take(case, trips));
        }
    }
    eprintln!("\r{:80}", "");
    println!("| round trip | ns, median | ns, least | ns, most | allocations |");
    println!("|---|---|---|---|---|");
    for (case, samples) in cases.iter().zip(&mut results) {
        samples.sort_by(|a, b| a.nanoseconds.total_cmp(&b.nanoseconds));
        let at = |index: usize| samples[index].nanoseconds;
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.2} |",
            case.name,
            at(samples.len() / 2),
            at(0),
            at(samples.len() - 1),
            samples[samples.len() / 2].allocations,
        );
    }
}

/// One round of one case, per round trip.
struct Sample {
    nanoseconds: f64,
    allocations: f64,
}

impl Sample {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn take(case: &Case, trips: u64) -> Self {
        let allocations = allocations::count();
        let start = Instant::now();
        (case.run)(black_box(trips));
        Self {
            nanoseconds: start.elapsed().as_nanos() as f64 / trips as f64,
            allocations: (allocations::count() - allocations) as f64 / trips as f64,
        }
    }
}
