//! Requests to a loop that owns a socket, beside one that does not.

use std::{
    ops::ControlFlow,
    thread::sleep,
    time::{Duration, Instant},
};

use ump_server::{
    Client, Refused, ReplyContext,
    net::UdpSocket,
    thread::{Builder, Service},
};

use super::{ANY_PORT, Case, Contender, Work};

/// A pause after which a loop sleeps.
const PAUSE: Duration = Duration::from_millis(2);

/// Answers requests, and may have a socket.
struct Answers(#[expect(dead_code, reason = "the loop has it")] Option<UdpSocket>);

impl Service for Answers {
    type Request = u64;
    type Reply = u64;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, n: u64, reply: ReplyContext<'_, u64, Refused>) -> ControlFlow<()> {
        let _ = reply.reply(n + 1);
        ControlFlow::Continue(())
    }
}

fn spawn(has_socket: bool) -> Client<u64, u64, Refused> {
    let (client, _) = Builder::new()
        .spawn_with(move |cx| {
            let socket = has_socket.then(|| cx.sockets().udp(ANY_PORT));
            Ok(Answers(socket.transpose().map_err(|_| Refused)?))
        })
        .expect("a loop with a free port");
    client
}

fn case(
    title: &str,
    count: usize,
    round: fn(&Client<u64, u64, Refused>, usize) -> Duration,
) -> Case {
    let contender = |name, has_socket| {
        let client = spawn(has_socket);
        Contender::timed(name, count, move |count| round(&client, count))
    };
    Case {
        title: title.into(),
        contenders: vec![
            contender("a loop without sockets", false),
            contender("a loop with a socket", true),
        ],
    }
}

fn ask(client: &Client<u64, u64, Refused>, count: usize) -> Duration {
    let start = Instant::now();
    for n in 0..count as u64 {
        assert_eq!(client.req(n), Ok(n + 1));
    }
    start.elapsed()
}

pub(super) fn awake(work: Work) -> Case {
    case("A request to a loop that is awake", work.of(50_000), ask)
}

pub(super) fn asleep(work: Work) -> Case {
    let after_pauses = |client: &_, count| {
        let one = |_| {
            sleep(PAUSE);
            ask(client, 1)
        };
        (0..count).map(one).sum()
    };
    case("A request to a loop that sleeps", work.of(20), after_pauses)
}
