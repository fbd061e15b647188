//! Metrics in the text format of Prometheus, from the snapshots.
//!
//! They need no recorder, and no state of their own. Labels are the names of components, numbers of
//! instances, and words of closed sets: never a topic, a peer or an address, of which there may be
//! any number. What the program's own exporters render comes after them.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use axum::{extract::State, http::header, response::IntoResponse};
use ump::Stats;

use super::{
    app::{Shared, blocking},
    problem::Problem,
};
use crate::model::{Component, Condition, Link, LogSink, LogState, RouterState};

pub(super) async fn metrics(State(app): Shared) -> Result<impl IntoResponse, Problem> {
    let mut text = Text::default();
    text.components(&app.components());
    if app.sources.router.is_some() {
        text.router(&app.topics());
        // Without them, if the thread of the links is busy.
        if let Ok(links) = app.links().await {
            text.links(&links);
        }
    }
    if let Some(log) = &app.sources.log {
        text.log(&log.state());
    }
    let mut text = text.0;
    for render in &app.sources.exporters {
        let render = Arc::clone(render);
        text.push_str(&blocking(move || render()).await?);
    }
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text))
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let separator = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{separator}{label}=\"{}\"", escape(text));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    fn components(&mut self, components: &[Component]) {
        self.family(
            "ump_component_state",
            "gauge",
            "1 for the state of an instance",
        );
        each(components, |labels, instance| {
            for state in Condition::ALL {
                let labels = [labels[0], labels[1], ("state", state.name())];
                self.sample(
                    "ump_component_state",
                    &labels,
                    u8::from(instance.state == state),
                );
            }
        });
        for (name, kind, help, value) in NUMBERS {
            self.family(name, kind, help);
            each(components, |labels, instance| {
                self.sample(name, labels, value(instance));
            });
        }
        self.family("ump_requests_ended_total", "counter", "Requests by outcome");
        each(components, |labels, instance| {
            for (outcome, count) in outcomes(&instance.requests) {
                let labels = [labels[0], labels[1], ("outcome", outcome)];
                self.sample("ump_requests_ended_total", &labels, count);
            }
        });
    }

    fn router(&mut self, topics: &RouterState) {
        let subscriptions = &topics.subscriptions;
        for (name, help, value) in [
            (
                "ump_subscriptions",
                "Subscriptions",
                subscriptions.len() as u64,
            ),
            (
                "ump_subscription_depth",
                "Messages in the queues of all subscriptions",
                subscriptions.iter().map(|it| it.depth as u64).sum(),
            ),
            (
                "ump_subscription_missed",
                "Messages that the present subscriptions have missed",
                subscriptions.iter().map(|it| it.missed).sum(),
            ),
            (
                "ump_topic_servers",
                "Servers of topics, and standbys",
                topics.servers.len() as u64,
            ),
            (
                "ump_retained",
                "RouterState with a retained message",
                topics.retained.len() as u64,
            ),
        ] {
            self.family(name, "gauge", help);
            self.sample(name, &[], value);
        }
    }

    fn links(&mut self, links: &[Link]) {
        let mut states = BTreeMap::<&str, u64>::new();
        for link in links {
            *states.entry(link.state).or_default() += 1;
        }
        self.family("ump_links", "gauge", "Links by state");
        for (state, count) in states {
            self.sample("ump_links", &[("state", state)], count);
        }
        self.family(
            "ump_link_queued_bytes",
            "gauge",
            "Bytes that wait to be sent on links",
        );
        let queued: usize = links.iter().map(|link| link.queued_bytes).sum();
        self.sample("ump_link_queued_bytes", &[], queued);
    }

    /// Names of sinks may be the same, so each has its number as well.
    fn log(&mut self, log: &LogState) {
        let families: [(&str, &str, fn(&LogSink) -> u64); 3] = [
            (
                "ump_log_written_total",
                "Records that a sink of the log has written",
                |it| it.written,
            ),
            (
                "ump_log_dropped_total",
                "Records that found no room in the queue of a sink",
                |it| it.dropped,
            ),
            (
                "ump_log_failing",
                "1 if a sink cannot write at present",
                |it| u64::from(it.failure.is_some()),
            ),
        ];
        for (name, help, value) in families {
            let is_counter = name.ends_with("_total");
            self.family(name, if is_counter { "counter" } else { "gauge" }, help);
            for (number, sink) in log.sinks.iter().enumerate() {
                let number = number.to_string();
                self.sample(
                    name,
                    &[("sink", &number), ("name", &sink.name)],
                    value(sink),
                );
            }
        }
    }
}

type Instance = crate::model::Instance;
type Number = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Instance) -> u64,
);

/// The metrics of an instance that are one number.
const NUMBERS: [Number; 8] = [
    ("ump_queue_depth", "gauge", "Requests in the queue", |it| {
        it.requests.queued
    }),
    (
        "ump_in_hand",
        "gauge",
        "Requests that handlers hold",
        |it| it.requests.taken,
    ),
    (
        "ump_requests_accepted_total",
        "counter",
        "Requests that entered the queue",
        |it| it.requests.accepted,
    ),
    (
        "ump_requests_refused_total",
        "counter",
        "Requests that never entered the queue",
        |it| it.requests.refused,
    ),
    ("ump_restarts_total", "counter", "Rebuilt handlers", |it| {
        it.restarts
    }),
    ("ump_timers", "gauge", "Timers", |it| it.timers as u64),
    ("ump_sockets", "gauge", "Open sockets", |it| {
        it.sockets.len() as u64
    }),
    (
        "ump_in_hand_oldest_milliseconds",
        "gauge",
        "Age of the oldest call in hand",
        |it| {
            let calls = it
                .workers
                .iter()
                .filter_map(|worker| worker.in_hand.as_ref());
            let ages = calls.filter_map(|call| call.age_s);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an age"
            )]
            let oldest = (ages.fold(0.0, f64::max) * 1000.0) as u64;
            oldest
        },
    ),
];

fn outcomes(stats: &Stats) -> [(&'static str, u64); 11] {
    [
        ("replied", stats.replied),
        ("failed", stats.failed),
        ("no_reply", stats.no_reply),
        ("panicked", stats.panicked),
        ("server_disappeared", stats.server_disappeared),
        ("timeout_queued", stats.timeout_queued),
        ("timeout_taken", stats.timeout_taken),
        ("cancelled_queued", stats.cancelled_queued),
        ("cancelled_taken", stats.cancelled_taken),
        ("would_deadlock_queued", stats.would_deadlock_queued),
        ("would_deadlock_taken", stats.would_deadlock_taken),
    ]
}

/// Calls `f` with the labels of each instance.
fn each(components: &[Component], mut f: impl FnMut(&[(&str, &str); 2], &Instance)) {
    for component in components {
        for (number, instance) in component.instances.iter().enumerate() {
            let number = number.to_string();
            f(
                &[("component", &component.name), ("instance", &number)],
                instance,
            );
        }
    }
}

/// Escapes the value of a label.
fn escape(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("x", &[("a", "1\"2\\3\n4"), ("b", "")], 7);
        text.sample("y", &[], 8);
        assert_eq!(text.0, "x{a=\"1\\\"2\\\\3\\n4\",b=\"\"} 7\ny 8\n");
    }
}
