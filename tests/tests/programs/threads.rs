//! Small random programs for real threads: two clients, one or two workers. The operating system
//! schedules, so only the outcomes are checked: each request has one, which its program allows, and
//! which agrees with its handler, the counters and the drops; and the requests of a client in one
//! lane are taken in order.

use std::{
    panic,
    sync::Arc,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use proptest::{collection::vec, option, prelude::*};
use tests::{
    block_on, drop_in_a_panic,
    ends::{Failure, Options, Reason},
    poll_once,
};
use ump::{
    Builder, Client, Error, Executed, Gather, NoReply, PanicMessage, ReplyContext, RequestError,
    Server, Spin, Stats, WaitReply,
};

use crate::{
    model::Mismatch,
    payload::{Payload, Register},
    program::spin,
};

#[derive(Clone, Debug)]
pub(crate) struct Race {
    capacity: Option<usize>,
    spin: Spin,
    clients: [Vec<Ask>; 2],
    servers: Vec<Serve>,
}

/// A request: its kind and how it is handled.
#[derive(Clone, Copy, Debug)]
struct Ask {
    way: Way,
    urgent: bool,
    if_room: bool,
    deadline: Deadline,
    handle: Handle,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Req,
    Areq,
    ReqAsync,
    Wait,
    Await,
    /// Submits, and awaits the reply after all requests have been made.
    Keep,
    /// Submits, and drops the reply.
    Leave,
    /// Polls the future once and drops it.
    LeaveSoon,
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Deadline {
    None,
    Past,
    /// The deadline is this many microseconds away.
    Soon(u16),
    Far,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Handle {
    Reply,
    Fail,
    DropContext,
    Panic,
    /// Replies later, when there is nothing else to do.
    Later,
}

#[derive(Clone, Debug)]
struct Serve {
    /// The ways of taking, which the worker repeats.
    takes: Vec<Take>,
    /// The number of requests after which the worker leaves.
    quota: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Take {
    Wait,
    AsyncWait,
    Many(usize),
    AsyncMany(usize),
    TryPop,
    NoTime,
    /// Starts to wait, and leaves.
    Leave,
}

pub(crate) fn races() -> impl Strategy<Value = Race> {
    let asks = || vec(ask(), 0..12);
    (
        option::of(1..=2_usize),
        spin(),
        [asks(), asks()],
        vec(serve(), 1..=2),
    )
        .prop_map(|(capacity, spin, clients, servers)| Race {
            capacity,
            spin,
            clients,
            servers,
        })
}

fn ask() -> impl Strategy<Value = Ask> {
    let way = prop_oneof![
        4 => Just(Way::Req),
        4 => Just(Way::Areq),
        1 => Just(Way::ReqAsync),
        2 => Just(Way::Wait),
        2 => Just(Way::Await),
        2 => Just(Way::Keep),
        2 => Just(Way::Leave),
        2 => Just(Way::LeaveSoon),
        2 => Just(Way::Post),
    ];
    let deadline = prop_oneof![
        6 => Just(Deadline::None),
        1 => Just(Deadline::Past),
        3 => (0..100_u16).prop_map(Deadline::Soon),
        1 => Just(Deadline::Far),
    ];
    let handle = prop_oneof![
        6 => Just(Handle::Reply),
        1 => Just(Handle::Fail),
        1 => Just(Handle::DropContext),
        1 => Just(Handle::Panic),
        1 => Just(Handle::Later),
    ];
    let bool = |weight| prop_oneof![3 => Just(false), weight => Just(true)];
    (way, bool(1), bool(1), deadline, handle).prop_map(
        |(way, urgent, if_room, deadline, handle)| {
            let plain = matches!(way, Way::Req | Way::Areq | Way::ReqAsync);
            Ask {
                way,
                urgent: urgent && !plain,
                if_room: if_room && !plain,
                deadline: if plain { Deadline::None } else { deadline },
                handle,
            }
        },
    )
}

fn serve() -> impl Strategy<Value = Serve> {
    let take = prop_oneof![
        3 => Just(Take::Wait),
        3 => Just(Take::AsyncWait),
        1 => (1..4_usize).prop_map(Take::Many),
        1 => (1..4_usize).prop_map(Take::AsyncMany),
        1 => Just(Take::TryPop),
        1 => Just(Take::NoTime),
        1 => Just(Take::Leave),
    ];
    // The last way waits, so no worker spins.
    let takes = vec(take, 0..4).prop_map(|mut takes| {
        takes.push(Take::Wait);
        takes
    });
    (takes, option::weighted(0.3, 0..12_usize)).prop_map(|(takes, quota)| Serve { takes, quota })
}

// ---- messages

struct Message {
    payload: Payload,
    client: usize,
    /// The position of the request among those of its client.
    number: usize,
    ask: Ask,
}

/// The number of the message, and a counted value.
struct Answer {
    of: usize,
    _parcel: Payload,
}

type TestClient = Client<Message, Answer, Answer>;
type TestServer = Server<Message, Answer, Answer>;
type Job = (Message, ReplyContext<Answer, Answer>);

/// The observations of a handler about a request.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Handled {
    message: usize,
    client: usize,
    number: usize,
    urgent: bool,
    /// Whether the reply was accepted; `None` without a reply.
    taken: Option<bool>,
}

/// The observations of a caller about its request.
#[derive(Debug)]
struct Asked {
    message: usize,
    ask: Ask,
    /// `None` if the caller left.
    outcome: Option<Result<usize, Failure<usize, usize>>>,
}

// ---- workers

struct Worker {
    server: Arc<TestServer>,
    register: Register,
    handled: Vec<Handled>,
    later: Vec<Job>,
}

impl Worker {
    fn serve(mut self, kind: &Serve) -> Vec<Handled> {
        for take in kind.takes.iter().cycle() {
            if kind.quota.is_some_and(|quota| self.handled.len() >= quota) {
                break;
            }
            let Ok(jobs) = self.take(*take) else { break };
            for job in jobs {
                self.handle(job);
            }
        }
        self.catch_up();
        self.handled
    }

    fn take(&mut self, take: Take) -> Result<Vec<Job>, Error<Answer>> {
        let server = Arc::clone(&self.server);
        let mut batch = Vec::new();
        if !self.later.is_empty() {
            // The worker replies before it may sleep.
            let job = server.try_pop()?;
            if job.is_none() {
                self.catch_up();
            }
            return Ok(Vec::from_iter(job));
        }
        match take {
            Take::Wait => batch.push(server.wait()?),
            Take::AsyncWait => batch.push(block_on(server.async_wait())?),
            Take::Many(max) => drop(server.wait_many(&mut batch, max)?),
            Take::AsyncMany(max) => drop(block_on(server.async_wait_many(&mut batch, max))?),
            Take::TryPop => batch.extend(server.try_pop()?),
            Take::NoTime => batch.extend(server.wait_timeout(Duration::ZERO)?),
            Take::Leave => {
                let mut waiting = Box::pin(server.async_wait());
                if let Poll::Ready(job) = poll_once(&mut waiting) {
                    batch.push(job?);
                }
            }
        }
        Ok(batch)
    }

    fn handle(&mut self, (message, rctx): Job) {
        let mut handled = Handled {
            message: message.payload.id(),
            client: message.client,
            number: message.number,
            urgent: message.ask.urgent,
            taken: None,
        };
        let answer = Answer {
            of: handled.message,
            _parcel: self.register.payload(),
        };
        match message.ask.handle {
            Handle::Reply => handled.taken = Some(rctx.answer(Ok(answer)).is_ok()),
            Handle::Fail => handled.taken = Some(rctx.answer(Err(answer)).is_ok()),
            Handle::DropContext => drop(rctx),
            Handle::Panic => drop_in_a_panic(rctx),
            Handle::Later => self.later.push((message, rctx)),
        }
        self.handled.push(handled);
    }

    fn catch_up(&mut self) {
        for (message, rctx) in self.later.drain(..) {
            let answer = Answer {
                of: message.payload.id(),
                _parcel: self.register.payload(),
            };
            let taken = rctx.answer(Ok(answer)).is_ok();
            let id = message.payload.id();
            let handled = self.handled.iter_mut().find(|h| h.message == id);
            handled.expect("it was").taken = Some(taken);
        }
    }
}

// ---- callers

fn ask_all(client: &TestClient, number: usize, asks: &[Ask], register: &Register) -> Vec<Asked> {
    let mut asked = Vec::new();
    let mut kept = Gather::new();
    for (at, ask) in asks.iter().enumerate() {
        let payload = register.payload();
        let id = payload.id();
        let message = Message {
            payload,
            client: number,
            number: at,
            ask: *ask,
        };
        let outcome = make(client, *ask, message, |reply| kept.push(asked.len(), reply));
        asked.push(Asked {
            message: id,
            ask: *ask,
            outcome,
        });
    }
    while let Some((at, outcome)) = kept.wait() {
        asked[at].outcome = Some(failure(outcome));
    }
    asked
}

fn make(
    client: &TestClient,
    ask: Ask,
    message: Message,
    keep: impl FnOnce(WaitReply<Answer, Answer, RequestError<Message, Answer>>),
) -> Option<Result<usize, Failure<usize, usize>>> {
    let now = Instant::now();
    let options = Options {
        deadline: match ask.deadline {
            Deadline::None => None,
            Deadline::Past => Some(now),
            Deadline::Soon(micros) => Some(now + Duration::from_micros(u64::from(micros))),
            Deadline::Far => Some(now + tests::LONG * 60),
        },
        urgent: ask.urgent,
        if_room: ask.if_room,
    };
    match ask.way {
        Way::Req => Some(failure(client.req(message))),
        Way::Areq => Some(failure(block_on(client.areq(message)))),
        Way::ReqAsync => Some(match client.req_async(message) {
            Ok(reply) => failure(reply.wait()),
            Err(error) => failure(Err(error)),
        }),
        Way::Wait => Some(failure(options.request(client, message).wait())),
        Way::Await => Some(failure(block_on(options.request(client, message)))),
        Way::Keep | Way::Leave => match options.request(client, message).submit().wait() {
            Ok(reply) => {
                if ask.way == Way::Keep {
                    keep(reply);
                }
                None
            }
            Err(error) => Some(failure(Err(error))),
        },
        Way::LeaveSoon => {
            let mut callers = Box::pin(async { options.request(client, message).await });
            match poll_once(&mut callers) {
                Poll::Ready(outcome) => Some(failure(outcome)),
                Poll::Pending => None,
            }
        }
        Way::Post => match options.request(client, message).post().wait() {
            Ok(()) => None,
            Err(error) => Some(failure(Err(error))),
        },
    }
}

/// The number of the message, or the outcome without a reply.
fn failure(
    outcome: Result<Answer, impl Into<Failure<Message, Answer>>>,
) -> Result<usize, Failure<usize, usize>> {
    let which = |answer: Answer| answer.of;
    outcome.map(which).map_err(|error| {
        let Failure {
            why,
            executed,
            message,
        } = error.into();
        Failure {
            executed,
            message: message.map(|message| message.payload.id()),
            why: match why {
                Reason::App(answer) => Reason::App(which(answer)),
                Reason::NoReply(why) => Reason::NoReply(why),
                Reason::ServerDisappeared => Reason::ServerDisappeared,
                Reason::TimeoutQueued => Reason::TimeoutQueued,
                Reason::TimeoutTaken => Reason::TimeoutTaken,
                Reason::Full => Reason::Full,
                Reason::Else => Reason::Else,
            },
        }
    })
}

// ---- the race

pub(crate) fn run(race: &Race) -> Result<(), Mismatch> {
    let register = Register::default();
    let builder = Builder::new()
        .capacity(race.capacity.unwrap_or(usize::MAX))
        .spin(race.spin);
    let (server, client) = builder.build().expect("not zero");
    let goes = race.servers.iter().all(|serve| serve.quota.is_some());
    let (asked, handled, fillers, stats) = thread::scope(|scope| {
        let server = Arc::new(server);
        let servers: Vec<_> = race
            .servers
            .iter()
            .map(|serve| {
                let worker = Worker {
                    server: Arc::clone(&server),
                    register: register.clone(),
                    handled: Vec::new(),
                    later: Vec::new(),
                };
                scope.spawn(move || worker.serve(serve))
            })
            .collect();
        // The counters are read from the end that stays.
        let stays = if goes {
            drop(server);
            Ok(client.clone())
        } else {
            Err(server)
        };
        let clients: Vec<_> = [client.clone(), client]
            .into_iter()
            .zip(&race.clients)
            .enumerate()
            .map(|(number, (client, asks))| {
                let register = register.clone();
                scope.spawn(move || ask_all(&client, number, asks, &register))
            })
            .collect();
        let asked = clients.into_iter().flat_map(|client| join(client.join()));
        let asked: Vec<_> = asked.collect();
        let fillers = stays.as_ref().map_or(0, |client| fill(client, &register));
        let handled: Vec<_> = servers.into_iter().map(|s| join(s.join())).collect();
        let stats = match stays {
            Ok(client) => client.stats(),
            Err(server) => server.stats(),
        };
        (asked, handled, fillers, stats)
    });
    for handled in &handled {
        check_order(handled)?;
    }
    let handled: Vec<_> = handled.into_iter().flatten().collect();
    for asked in &asked {
        let seen: Vec<_> = handled
            .iter()
            .filter(|h| h.message == asked.message)
            .collect();
        check(asked, &seen, race.capacity.is_some(), goes)
            .map_err(|wrong| format!("{asked:?}, {seen:?}: {wrong}"))?;
    }
    check_stats(&stats, &asked, &handled, fillers)?;
    let dropped = register.dropped();
    if dropped.iter().any(|dropped| *dropped != 1) {
        return Err(format!("drops: {dropped:?}"));
    }
    Ok(())
}

fn join<T>(ended: thread::Result<T>) -> T {
    ended.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// Makes requests until the server has gone, so that workers reach their quota. Returns their
/// number.
fn fill(client: &TestClient, register: &Register) -> usize {
    let mut fillers = 0;
    while !client.is_closed() {
        fillers += 1;
        let message = Message {
            payload: register.payload(),
            client: FILLS,
            number: fillers,
            ask: FILLER,
        };
        // The caller got a reply, or the server has just gone.
        let _ = client.req(message);
    }
    fillers
}

/// The number of the filling client.
const FILLS: usize = 2;

const FILLER: Ask = Ask {
    way: Way::Req,
    urgent: false,
    if_room: false,
    deadline: Deadline::None,
    handle: Handle::Reply,
};

/// Checks that the requests of each client and lane were taken in order.
fn check_order(handled: &[Handled]) -> Result<(), Mismatch> {
    for client in 0..2 {
        for urgent in [false, true] {
            let lane = |h: &&Handled| h.client == client && h.urgent == urgent;
            let numbers: Vec<_> = handled.iter().filter(lane).map(|h| h.number).collect();
            if !numbers.is_sorted() {
                return Err(format!(
                    "client {client}, urgent {urgent}: taken in the order {numbers:?}"
                ));
            }
        }
    }
    Ok(())
}

/// Checks that the outcomes of caller and handler are possible and agree.
fn check(asked: &Asked, handled: &[&Handled], bounded: bool, goes: bool) -> Result<(), Mismatch> {
    let Asked {
        message,
        ask,
        outcome,
    } = asked;
    let taken = match handled {
        [] => None,
        [handled] => Some(handled.taken),
        _ => return Err("handled twice".to_owned()),
    };
    let plain = matches!(ask.way, Way::Req | Way::Areq | Way::ReqAsync);
    let soon = matches!(ask.deadline, Deadline::Soon(_));
    let past = ask.deadline == Deadline::Past;
    let fits = match outcome {
        None => matches!(ask.way, Way::Leave | Way::LeaveSoon | Way::Post) && !past,
        Some(Ok(of)) => {
            of == message
                && matches!(ask.handle, Handle::Reply | Handle::Later)
                && taken == Some(Some(true))
                && !past
        }
        Some(Err(failure)) => {
            let not_executed = failure.executed == Executed::No;
            let back = (not_executed && !plain).then_some(*message);
            let (fits, executed) = match &failure.why {
                Reason::App(of) => (
                    of == message && ask.handle == Handle::Fail && taken == Some(Some(true)),
                    Executed::Yes,
                ),
                Reason::NoReply(why) => {
                    let meant = match ask.handle {
                        Handle::DropContext => NoReply::Dropped,
                        Handle::Panic => NoReply::Panicked(PanicMessage::default()),
                        _ => return Err("there was a reply".to_owned()),
                    };
                    let fits = plain && why.is_none() || *why == Some(meant);
                    (fits && taken == Some(None), Executed::Perhaps)
                }
                Reason::TimeoutTaken => (
                    soon && taken.is_some_and(|taken| taken != Some(true)),
                    Executed::Perhaps,
                ),
                Reason::TimeoutQueued => (soon || past, Executed::No),
                Reason::ServerDisappeared => (goes && !past, Executed::No),
                Reason::Full => (ask.if_room && bounded && !past, Executed::No),
                Reason::Else => (false, Executed::No),
            };
            fits && failure.executed == executed
                && failure.message == back
                && (!not_executed || taken.is_none())
        }
    };
    if fits {
        Ok(())
    } else {
        Err("not possible".to_owned())
    }
}

/// Compares the counters with the outcomes; `fillers` more requests were made.
fn check_stats(
    stats: &Stats,
    asked: &[Asked],
    handled: &[Handled],
    fillers: usize,
) -> Result<(), Mismatch> {
    let handled_fillers = handled.iter().filter(|h| h.client == FILLS).count();
    let [mut replied, mut failed, mut lost] = [handled_fillers, 0, 0];
    for asked in asked {
        let Some(handled) = handled.iter().find(|h| h.message == asked.message) else {
            continue;
        };
        match (asked.ask.handle, handled.taken) {
            (Handle::Reply | Handle::Later, Some(true)) => replied += 1,
            (Handle::Fail, Some(true)) => failed += 1,
            // A dropped post counts as handled.
            (Handle::DropContext, None) if asked.ask.way == Way::Post => replied += 1,
            _ => lost += 1,
        }
    }
    let made = asked.len() + fillers;
    let seen = [made, replied, failed, lost, made - handled.len()];
    let counted = [
        stats.accepted + stats.refused,
        stats.replied,
        stats.failed,
        stats.no_reply + stats.panicked + stats.timeout_taken + stats.cancelled_taken,
        stats.timeout_queued + stats.server_disappeared + stats.cancelled_queued + stats.refused,
    ];
    let failure = |why: fn(&Reason<usize>) -> bool| {
        let is = |a: &&Asked| matches!(&a.outcome, Some(Err(failure)) if why(&failure.why));
        asked.iter().filter(is).count() as u64
    };
    // Abandoned requests have no reported outcome.
    let agree = failure(|why| matches!(why, Reason::TimeoutTaken)) <= stats.timeout_taken
        && failure(|why| matches!(why, Reason::Full)) <= stats.refused
        && failure(|why| matches!(why, Reason::NoReply(_))) <= stats.no_reply + stats.panicked
        && stats.queued + stats.taken == 0;
    if agree && seen.map(|n| n as u64) == counted {
        Ok(())
    } else {
        Err(format!("seen: {seen:?}, {asked:?}, but counted: {stats:?}"))
    }
}
