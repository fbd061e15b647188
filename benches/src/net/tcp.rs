//! Echoes of 64 bytes by TCP.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use ump_server::ump::Spin;

use super::{
    Case, Contender, Work, gathering, posting,
    servers::{LEN, Message, Reads, Server, bare_mio, component, on_a_loop, on_tokio},
};

/// How long a component spins that is to be awake when the next message comes.
const SPIN: Duration = Duration::from_micros(100);

/// The handler itself echoes: a component on the loop that has the sockets.
pub(super) fn echo(work: Work, connections: usize) -> Case {
    let contender = |name, server| contender(work, connections, name, server);
    Case {
        title: title("An echo of 64 bytes", connections),
        contenders: vec![
            contender("mio by hand", bare_mio(Reads::Short)),
            contender(
                "mio by hand, reads until it would block",
                bare_mio(Reads::WouldBlock),
            ),
            contender("a loop of `ump-server`", on_a_loop(None)),
        ],
    }
}

/// The handler asks a component on another thread, and waits for its reply.
pub(super) fn through_a_component(work: Work, connections: usize) -> Case {
    let contender = |name, server| contender(work, connections, name, server);
    Case {
        title: title("An echo of 64 bytes through a component", connections),
        contenders: vec![
            contender("tokio, which answers by itself", on_tokio(None)),
            contender(
                "a loop of `ump-server`",
                on_a_loop(Some(component(Spin::Adaptive))),
            ),
            contender(
                "the same, its component spins for 100 µs",
                on_a_loop(Some(component(Spin::UpTo(SPIN)))),
            ),
            contender(
                "the same, without waiting: posts there and back",
                posting::on_a_loop(),
            ),
            contender(
                "the same, asks for all of a turn, then waits",
                gathering::on_a_loop(),
            ),
            contender(
                "tokio, which asks such a component",
                on_tokio(Some(component(Spin::Adaptive))),
            ),
        ],
    }
}

fn title(what: &str, connections: usize) -> String {
    let plural = if connections == 1 { "" } else { "s" };
    format!("{what}, {connections} connection{plural}")
}

/// Sends a message by each connection, and then reads all answers.
fn contender(work: Work, connections: usize, name: &'static str, server: Server) -> Contender {
    let connect = |_| {
        let stream = TcpStream::connect(server.address).expect("it listens");
        stream.set_nodelay(true).expect("a connection");
        stream
    };
    let mut streams: Vec<TcpStream> = (0..connections).map(connect).collect();
    Contender::new(name, work.of(5_000), move |count| {
        let _ = &server; // it serves until then
        let mut answer: Message = [0; LEN];
        for round in 0..count.div_ceil(streams.len()) {
            let byte = u8::try_from(round % 251).expect("it is below 251");
            for stream in &mut streams {
                stream.write_all(&[byte; LEN]).expect("it reads");
            }
            for stream in &mut streams {
                stream.read_exact(&mut answer).expect("it answers");
                assert_eq!(answer, [byte; LEN]);
            }
        }
    })
}
