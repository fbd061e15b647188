//! The cases.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    children::Skipped,
    contenders::{self, Contender},
    echo::{self, How},
    mqtt::Mqtt,
    nats::Nats,
    options::Options,
    peer::{Kind, Peer},
    report::{CaseResult, ContenderResult},
    routers::{self, Routers, RoutersInTasks},
    t2::T2,
};

/// How the members of a case are made.
#[derive(Clone, Copy)]
enum What {
    /// Requests to a server in the process of the bus.
    Request,
    /// Requests to another process through the bus.
    RequestByHub,
    /// Many requests at once, by so many connections.
    Pipelined { callers: usize, by_bus: bool },
    /// Messages to so many subscribers.
    FanOut(usize),
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) title: String,
    what: What,
    kind: Kind,
    payload: Bytes,
}

pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, title: &str, what, kind: Kind, len: usize| {
        cases.push(Case {
            name: format!("{name}-{}-{len}", kind.name()),
            title: format!("{title}, {}, {len} bytes", kind.name()),
            what,
            kind,
            payload: vec![7; len].into(),
        });
    };
    for kind in [Kind::Unix, Kind::Tcp] {
        for len in [64, 4096] {
            let title = "A request to a server in the process of the hub";
            add("request", title, What::Request, kind, len);
            let title = "A request through the hub to another process";
            add("hub", title, What::RequestByHub, kind, len);
        }
        for by_bus in [true, false] {
            for callers in [1, 8, 64] {
                let name = if by_bus { "pipelined" } else { "hub-pipelined" };
                let how = if by_bus { "" } else { " through the hub" };
                let title = format!("Pipelined requests{how}, {callers} clients");
                let what = What::Pipelined { callers, by_bus };
                add(&format!("{name}-{callers}"), &title, what, kind, 64);
            }
        }
        add(
            "fan-out",
            "Deliveries to 8 subscribers",
            What::FanOut(8),
            kind,
            64,
        );
    }
    cases
}

type Make = Box<dyn Fn() -> Result<Contender, Skipped>>;

impl Case {
    fn peer<P: Peer>(&self) -> (&'static str, Make) {
        let (what, kind, payload) = (self.what, self.kind, self.payload.clone());
        let make = move || match what {
            What::Request => contenders::requests::<P>(kind, &payload, true),
            What::RequestByHub => contenders::requests::<P>(kind, &payload, false),
            What::Pipelined { callers, by_bus } => {
                contenders::pipelined::<P>(kind, &payload, by_bus, callers)
            }
            What::FanOut(subscribers) => contenders::fan_out::<P>(kind, &payload, subscribers),
        };
        (P::NAME, Box::new(make))
    }

    /// The contenders. The reference comes first.
    fn contenders(&self) -> Vec<(&'static str, Make)> {
        let (kind, payload) = (self.kind, self.payload.clone());
        let by_bus = match self.what {
            What::Request => Some(true),
            What::RequestByHub => Some(false),
            _ => None,
        };
        let mut all: Vec<(&'static str, Make)> = Vec::new();
        if let Some(by_bus) = by_bus {
            let echoes = if by_bus { 1 } else { 2 };
            for (name, how) in [("echo, threads", How::Threads), ("echo, tokio", How::Tokio)] {
                let payload = payload.clone();
                let make = move || echo::contender(kind, how, &payload, echoes);
                all.push((name, Box::new(make)));
            }
            let make = move || routers::blocking(kind, &payload, by_bus);
            all.push(("ump-router, blocking", Box::new(make)));
        }
        all.push(self.peer::<Routers>());
        all.push(self.peer::<RoutersInTasks>());
        all.push(self.peer::<T2>());
        all.push(self.peer::<Nats>());
        all.push(self.peer::<Mqtt>());
        all
    }

    pub(crate) fn measure(&self, options: &Options) -> CaseResult {
        let lap_time = Duration::from_millis(if options.quick { 50 } else { 250 });
        let mut results = Vec::new();
        let mut taking_part = Vec::new();
        for (nth, (name, make)) in self.contenders().into_iter().enumerate() {
            if nth > 0 && !options.selects_contender(name) {
                continue;
            }
            match make() {
                Ok(mut contender) => match contender.messages_in(lap_time) {
                    Ok(times) => {
                        results.push(ContenderResult::new(&contender.name));
                        taking_part.push((results.len() - 1, contender, times));
                    }
                    Err(error) => results.push(ContenderResult::failed(name, &error)),
                },
                Err(Skipped(why)) => {
                    eprintln!("  {name} is skipped: {why}");
                    results.push(ContenderResult::skipped(name, why));
                }
            }
        }
        for round in 1..=options.rounds {
            eprint!("\r  round {round} of {}", options.rounds);
            taking_part.retain_mut(|(nth, contender, times)| {
                let lap = contender.lap(*times);
                match &lap {
                    Ok(measured) => results[*nth].add(measured),
                    Err(error) => results[*nth] = ContenderResult::failed(&contender.name, error),
                }
                lap.is_ok()
            });
        }
        eprintln!();
        CaseResult {
            name: self.name.clone(),
            title: self.title.clone(),
            contenders: results,
        }
    }
}
