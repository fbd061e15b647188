//! Small random programs for real threads: two clients, one or two who serve. The schedule is the operating system's, so only the outcomes
//! are looked at: each request has one, which its program allows and which agrees with what its handler saw, with the books and with
//! the drops; and of each client's requests in one lane the earlier are taken first.

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
    ends::{Terms, Told, Why},
    poll_once,
};
use ump::{
    Builder, Client, Error, Executed, Gather, NoReply, PanicMessage, ReplyContext, RequestError,
    Server, Spin, Stats, WaitReply,
};

use crate::{
    model::Wrong,
    parcel::{Parcel, Register},
    program::spin,
};

#[derive(Clone, Debug)]
pub(crate) struct Race {
    capacity: Option<usize>,
    spin: Spin,
    clients: [Vec<Ask>; 2],
    servers: Vec<Serve>,
}

/// A request: how it is made, and what becomes of it.
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
    /// Submitted, and waited for when all have been made.
    Keep,
    /// Submitted and dropped.
    Leave,
    /// Awaited, polled once and dropped.
    LeaveSoon,
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Deadline {
    None,
    Past,
    /// In so many microseconds.
    Soon(u16),
    Far,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Handle {
    Reply,
    Fail,
    LetGo,
    Panic,
    /// Replies when there is nothing else to do.
    Later,
}

#[derive(Clone, Debug)]
struct Serve {
    /// Again and again.
    takes: Vec<Take>,
    /// Leaves after so many.
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
    /// Begins to wait, and leaves.
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
        1 => Just(Handle::LetGo),
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
    // The last waits, so that nobody is busy for nothing.
    let takes = vec(take, 0..4).prop_map(|mut takes| {
        takes.push(Take::Wait);
        takes
    });
    (takes, option::weighted(0.3, 0..12_usize)).prop_map(|(takes, quota)| Serve { takes, quota })
}

// ---- what is sent

struct Message {
    parcel: Parcel,
    client: usize,
    /// Its place among the requests of its client.
    number: usize,
    ask: Ask,
}

/// For which message, and a value of its own.
struct Answer {
    of: usize,
    _parcel: Parcel,
}

type Asks = Client<Message, Answer, Answer>;
type Requests = Server<Message, Answer, Answer>;
type Job = (Message, ReplyContext<Answer, Answer>);

/// What its handler saw of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Handled {
    message: usize,
    client: usize,
    number: usize,
    urgent: bool,
    /// Whether somebody took the answer; none if there was none.
    taken: Option<bool>,
}

/// What its caller saw of it.
#[derive(Debug)]
struct Asked {
    message: usize,
    ask: Ask,
    /// None if it left.
    outcome: Option<Result<usize, Told<usize, usize>>>,
}

// ---- the answering end

struct Worker {
    server: Arc<Requests>,
    register: Register,
    handled: Vec<Handled>,
    later: Vec<Job>,
}

impl Worker {
    fn serve(mut self, how: &Serve) -> Vec<Handled> {
        for take in how.takes.iter().cycle() {
            if how.quota.is_some_and(|quota| self.handled.len() >= quota) {
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
            // Nobody may be kept waiting by one who sleeps.
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
            message: message.parcel.id(),
            client: message.client,
            number: message.number,
            urgent: message.ask.urgent,
            taken: None,
        };
        let answer = Answer {
            of: handled.message,
            _parcel: self.register.parcel(),
        };
        match message.ask.handle {
            Handle::Reply => handled.taken = Some(rctx.answer(Ok(answer)).is_ok()),
            Handle::Fail => handled.taken = Some(rctx.answer(Err(answer)).is_ok()),
            Handle::LetGo => drop(rctx),
            Handle::Panic => drop_in_a_panic(rctx),
            Handle::Later => self.later.push((message, rctx)),
        }
        self.handled.push(handled);
    }

    fn catch_up(&mut self) {
        for (message, rctx) in self.later.drain(..) {
            let answer = Answer {
                of: message.parcel.id(),
                _parcel: self.register.parcel(),
            };
            let taken = rctx.answer(Ok(answer)).is_ok();
            let id = message.parcel.id();
            let handled = self.handled.iter_mut().find(|h| h.message == id);
            handled.expect("it was").taken = Some(taken);
        }
    }
}

// ---- the asking end

fn ask_all(client: &Asks, number: usize, asks: &[Ask], register: &Register) -> Vec<Asked> {
    let mut asked = Vec::new();
    let mut kept = Gather::new();
    for (at, ask) in asks.iter().enumerate() {
        let parcel = register.parcel();
        let id = parcel.id();
        let message = Message {
            parcel,
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
        asked[at].outcome = Some(told(outcome));
    }
    asked
}

fn make(
    client: &Asks,
    ask: Ask,
    message: Message,
    keep: impl FnOnce(WaitReply<Answer, Answer, RequestError<Message, Answer>>),
) -> Option<Result<usize, Told<usize, usize>>> {
    let now = Instant::now();
    let terms = Terms {
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
        Way::Req => Some(told(client.req(message))),
        Way::Areq => Some(told(block_on(client.areq(message)))),
        Way::ReqAsync => Some(match client.req_async(message) {
            Ok(reply) => told(reply.wait()),
            Err(error) => told(Err(error)),
        }),
        Way::Wait => Some(told(terms.request(client, message).wait())),
        Way::Await => Some(told(block_on(terms.request(client, message)))),
        Way::Keep | Way::Leave => match terms.request(client, message).submit().wait() {
            Ok(reply) => {
                if ask.way == Way::Keep {
                    keep(reply);
                }
                None
            }
            Err(error) => Some(told(Err(error))),
        },
        Way::LeaveSoon => {
            let mut asking = Box::pin(async { terms.request(client, message).await });
            match poll_once(&mut asking) {
                Poll::Ready(outcome) => Some(told(outcome)),
                Poll::Pending => None,
            }
        }
        Way::Post => match terms.request(client, message).post().wait() {
            Ok(()) => None,
            Err(error) => Some(told(Err(error))),
        },
    }
}

/// Of which message it is, or what was told instead.
fn told(
    outcome: Result<Answer, impl Into<Told<Message, Answer>>>,
) -> Result<usize, Told<usize, usize>> {
    let which = |answer: Answer| answer.of;
    outcome.map(which).map_err(|error| {
        let Told {
            why,
            executed,
            message,
        } = error.into();
        Told {
            executed,
            message: message.map(|message| message.parcel.id()),
            why: match why {
                Why::App(answer) => Why::App(which(answer)),
                Why::NoReply(why) => Why::NoReply(why),
                Why::ServerDisappeared => Why::ServerDisappeared,
                Why::TimeoutQueued => Why::TimeoutQueued,
                Why::TimeoutTaken => Why::TimeoutTaken,
                Why::Full => Why::Full,
                Why::Else => Why::Else,
            },
        }
    })
}

// ---- the race

pub(crate) fn run(race: &Race) -> Result<(), Wrong> {
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
        // The end that stays is asked for the books.
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
    check_books(&stats, &asked, &handled, fillers)?;
    let deaths = register.deaths();
    if deaths.iter().any(|deaths| *deaths != 1) {
        return Err(format!("drops: {deaths:?}"));
    }
    Ok(())
}

fn join<T>(ended: thread::Result<T>) -> T {
    ended.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// Asks until the server has gone, as who has not had enough yet waits for more. How often it did.
fn fill(client: &Asks, register: &Register) -> usize {
    let mut fillers = 0;
    while !client.is_closed() {
        fillers += 1;
        let message = Message {
            parcel: register.parcel(),
            client: FILLS,
            number: fillers,
            ask: FILLER,
        };
        // It has a reply, or the server has just gone.
        let _ = client.req(message);
    }
    fillers
}

/// The number of the one who fills.
const FILLS: usize = 2;

const FILLER: Ask = Ask {
    way: Way::Req,
    urgent: false,
    if_room: false,
    deadline: Deadline::None,
    handle: Handle::Reply,
};

/// Of each client and lane, the earlier first.
fn check_order(handled: &[Handled]) -> Result<(), Wrong> {
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

/// Whether what the caller was told is possible, and what the handler saw.
fn check(asked: &Asked, handled: &[&Handled], bounded: bool, goes: bool) -> Result<(), Wrong> {
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
        Some(Err(told)) => {
            let not_executed = told.executed == Executed::No;
            let back = (not_executed && !plain).then_some(*message);
            let (fits, executed) = match &told.why {
                Why::App(of) => (
                    of == message && ask.handle == Handle::Fail && taken == Some(Some(true)),
                    Executed::Yes,
                ),
                Why::NoReply(why) => {
                    let meant = match ask.handle {
                        Handle::LetGo => NoReply::Dropped,
                        Handle::Panic => NoReply::Panicked(PanicMessage::default()),
                        _ => return Err("there was a reply".to_owned()),
                    };
                    let fits = plain && why.is_none() || *why == Some(meant);
                    (fits && taken == Some(None), Executed::Perhaps)
                }
                Why::TimeoutTaken => (
                    soon && taken.is_some_and(|taken| taken != Some(true)),
                    Executed::Perhaps,
                ),
                Why::TimeoutQueued => (soon || past, Executed::No),
                Why::ServerDisappeared => (goes && !past, Executed::No),
                Why::Full => (ask.if_room && bounded && !past, Executed::No),
                Why::Else => (false, Executed::No),
            };
            fits && told.executed == executed
                && told.message == back
                && (!not_executed || taken.is_none())
        }
    };
    if fits {
        Ok(())
    } else {
        Err("not possible".to_owned())
    }
}

/// Whether the books say what all have seen. `fillers` were made besides.
fn check_books(
    stats: &Stats,
    asked: &[Asked],
    handled: &[Handled],
    fillers: usize,
) -> Result<(), Wrong> {
    let handled_fillers = handled.iter().filter(|h| h.client == FILLS).count();
    let [mut replied, mut failed, mut lost] = [handled_fillers, 0, 0];
    for asked in asked {
        let Some(handled) = handled.iter().find(|h| h.message == asked.message) else {
            continue;
        };
        match (asked.ask.handle, handled.taken) {
            (Handle::Reply | Handle::Later, Some(true)) => replied += 1,
            (Handle::Fail, Some(true)) => failed += 1,
            // To let go of a post is to have handled it.
            (Handle::LetGo, None) if asked.ask.way == Way::Post => replied += 1,
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
    let told = |why: fn(&Why<usize>) -> bool| {
        let is = |a: &&Asked| matches!(&a.outcome, Some(Err(told)) if why(&told.why));
        asked.iter().filter(is).count() as u64
    };
    // Of those that were left nobody was told.
    let agree = told(|why| matches!(why, Why::TimeoutTaken)) <= stats.timeout_taken
        && told(|why| matches!(why, Why::Full)) <= stats.refused
        && told(|why| matches!(why, Why::NoReply(_))) <= stats.no_reply + stats.panicked
        && stats.queued + stats.taken == 0;
    if agree && seen.map(|n| n as u64) == counted {
        Ok(())
    } else {
        Err(format!("seen: {seen:?}, {asked:?}, but counted: {stats:?}"))
    }
}
