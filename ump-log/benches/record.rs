//! What a record costs on the caller's thread: of this crate, of `tracing-appender`, and of `fmt`
//! to `/dev/null`. A record has three fields: an integer, a string, and a `Display` value.
//!
//! ```sh
//! cargo bench -p ump-log                                  # all, in turn
//! cargo bench -p ump-log --bench record -- ump-text 1000  # a thousand records in one way
//! ```
//!
//! The second form is for counting instructions: the difference of two runs. Records are made in
//! bursts, with a pause in between, so that no queue is full; only the bursts are timed. The
//! program says how many were dropped: a dropped record is cheap, so there must be none.

use std::{
    fs::OpenOptions,
    hint::black_box,
    net::Ipv4Addr,
    thread::sleep,
    time::{Duration, Instant},
};

use tracing::{Dispatch, dispatcher::with_default, info};
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::{Registry, fmt, layer::SubscriberExt};
use ump_log::{Builder, Format, Sink};

const WAYS: [&str; 8] = [
    "nothing",
    "ump-text",
    "ump-json",
    "ump-two-sinks",
    "appender-text",
    "appender-json",
    "fmt-text",
    "fmt-json",
];
const BURST: u32 = 1000;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    match (arguments.next(), arguments.next()) {
        (Some(way), count) => {
            let count = count.and_then(|count| count.parse().ok()).unwrap_or(1000);
            run(&way, count);
        }
        (None, _) => {
            for way in WAYS {
                let mut times: Vec<_> = (0..15).map(|_| run(way, 20 * BURST)).collect();
                times.sort_unstable();
                let median = times[times.len() / 2];
                println!(
                    "{way:14} {median:>6} ns a record, of 15 runs {} to {}",
                    times[0], times[14]
                );
            }
        }
    }
}

/// Makes `count` records, and returns the nanoseconds for one.
fn run(way: &str, count: u32) -> u128 {
    let null = || {
        OpenOptions::new()
            .write(true)
            .open("/dev/null")
            .expect("/dev/null")
    };
    let sink = |format| Sink::writer(null(), format);
    let (appender, worker) = NonBlockingBuilder::default().finish(null());
    let errors = appender.error_counter();
    let builder = match way {
        "ump-text" => Some(Builder::new().sink(sink(Format::Text))),
        "ump-json" => Some(Builder::new().sink(sink(Format::Json))),
        "ump-two-sinks" => Some(
            Builder::new()
                .sink(sink(Format::Text))
                .sink(sink(Format::Json)),
        ),
        _ => None,
    };
    let (layer, guard) = builder
        .map(|builder| builder.start().expect("a log"))
        .unzip();
    let registry = Registry::default();
    let dispatch = match way {
        "nothing" => Dispatch::new(registry),
        "appender-text" => {
            Dispatch::new(registry.with(fmt::layer().with_ansi(false).with_writer(appender)))
        }
        "appender-json" => Dispatch::new(registry.with(fmt::layer().json().with_writer(appender))),
        "fmt-text" => Dispatch::new(registry.with(fmt::layer().with_ansi(false).with_writer(null))),
        "fmt-json" => Dispatch::new(registry.with(fmt::layer().json().with_writer(null))),
        _ => Dispatch::new(registry.with(layer.expect("a way of `WAYS`"))),
    };
    let mut spent = Duration::ZERO;
    with_default(&dispatch, || {
        let mut left = count;
        while left > 0 {
            let burst = left.min(BURST);
            let begin = Instant::now();
            for n in 0..burst {
                let address = Ipv4Addr::from_bits(n);
                info!(n, article = black_box("green tea"), %address, "sold");
            }
            spent += begin.elapsed();
            left -= burst;
            sleep(Duration::from_millis(2));
        }
    });
    let dropped = guard.map_or(0, |guard| guard.status()[0].dropped.total());
    let dropped = dropped + errors.dropped_lines() as u64;
    assert_eq!(
        dropped, 0,
        "{way} dropped records: it looks cheaper than it is"
    );
    drop(worker);
    spent.as_nanos() / u128::from(count.max(1))
}
