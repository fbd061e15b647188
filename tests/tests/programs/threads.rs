//! Small random programs for real threads: two clients, one or two workers. The operating system
//! schedules, so only the outcomes are checked: each request has one, which its program allows, and
//! which agrees with its handler, the counters and the drops; and the requests of a client in one
//! lane are taken in order.

mod callers;
mod checks;
mod strategies;
mod workers;

use std::{panic, sync::Arc, thread};

use tests::ends::Failure;
use ump::{Builder, Client, ReplyContext, Server, Spin};

pub(crate) use self::strategies::races;
use self::{
    callers::ask_all,
    checks::{check, check_order, check_stats},
    workers::Worker,
};
use crate::{
    model::Mismatch,
    payload::{Payload, Register},
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
    _payload: Payload,
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
