//! Streams over the sockets of the loop.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use ump_server::{
    JoinHandle,
    sans_io::{
        CloseReason, Command, Component, ConnectionId, Interface, Limits, LoopTcp, Origin, Refused,
        Reply, Report, Request, SendTask, ShutDown, SocketError, Spawn, StreamConnect, StreamInput,
        StreamOutput, Streams, TaskId,
    },
    thread::Builder,
};

use crate::stream_tasks::{Relay, Sessions, Shout, pattern};

const MINUTE: Duration = Duration::from_secs(60);
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

type Client<T> = ump_server::Client<Request<T>, Reply, Refused<T>>;

/// A loop with one task and one listener.
struct Started<T: SendTask> {
    client: Client<T>,
    _handle: JoinHandle<()>,
    task: TaskId,
    address: SocketAddr,
    reports: mpsc::Receiver<Report<<T::Io as Interface>::Event>>,
}

fn start<T: SendTask>(
    task: T,
    options: impl Fn(LoopTcp) -> LoopTcp + Send + Sync + 'static,
) -> Started<T>
where
    T::Io: Interface<Net = Streams>,
{
    let (address, addresses) = mpsc::channel();
    let (report, reports) = mpsc::channel();
    let (client, handle) = Builder::new()
        .spawn_with(move |cx| {
            let mut tcp = options(LoopTcp::new(cx.sockets()));
            let number = tcp.listen(ANY)?;
            let _ = address.send(tcp.local_addr(number)?);
            let report = report.clone();
            let report = move |it| drop(report.send(it));
            Ok(Component::<T, _>::new(cx, Limits::new(), tcp, report))
        })
        .unwrap();
    let task = client.ask(Spawn(task)).wait().unwrap();
    Started {
        client,
        _handle: handle,
        task,
        address: addresses.recv().unwrap(),
        reports,
    }
}

fn relay() -> Started<Relay> {
    start(Relay::default(), |tcp| tcp)
}

impl Started<Relay> {
    fn act(&self, output: StreamOutput) {
        self.client.ask(Command(self.task, output)).wait().unwrap();
    }

    fn next(&self) -> StreamInput<'static> {
        match self.reports.recv_timeout(MINUTE).unwrap() {
            Report::Event { event, .. } => event,
            report => panic!("{report:?}"),
        }
    }

    fn opened(&self) -> ConnectionId {
        match self.next() {
            StreamInput::Opened { connection, .. } => connection,
            input => panic!("{input:?}"),
        }
    }

    fn closed(&self) -> (CloseReason, usize) {
        loop {
            if let StreamInput::Closed { reason, unsent, .. } = self.next() {
                return (reason, unsent);
            }
        }
    }

    /// Takes data until there are `length` bytes.
    fn take(&self, length: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while taken.len() < length {
            if let StreamInput::Data { bytes, .. } = self.next() {
                taken.extend_from_slice(&bytes);
            }
        }
        taken
    }
}

#[test]
fn lines_are_answered_however_they_are_cut() {
    let server = start(Shout::default(), |tcp| tcp);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"one\ntwo\nthree" {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut answer = String::new();
    reader.read_line(&mut answer).unwrap();
    reader.read_line(&mut answer).unwrap();
    assert_eq!(answer, "ONE\nTWO\n");
    // A complete answer after the half-close, then the end.
    stream.write_all(b"\nfour\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    reader.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "ONE\nTWO\nTHREE\nFOUR\n");
}

#[test]
fn two_tasks_connect_talk_and_close() {
    let [server, client] = [relay(), relay()];
    let connect = StreamConnect::new(7, server.address).timeout(MINUTE);
    client.act(StreamOutput::Connect(connect));
    let StreamInput::Opened {
        connection: near,
        origin: Origin::Connected { token: 7 },
        local: Some(local),
        peer,
    } = client.next()
    else {
        panic!("it is connected");
    };
    assert_eq!(peer, server.address);
    let StreamInput::Opened {
        connection: far,
        origin: Origin::Accepted { .. },
        peer,
        ..
    } = server.next()
    else {
        panic!("it is accepted");
    };
    assert_eq!(peer, local);
    let data = pattern(300_000);
    client.act(StreamOutput::send(near, data.clone()));
    assert!(server.take(data.len()) == data);
    server.act(StreamOutput::send(far, data.clone()));
    assert!(client.take(data.len()) == data);
    // One side closes, the other one ends its half.
    client.act(StreamOutput::send(near, *b"bye"));
    client.act(StreamOutput::Close { connection: near });
    assert_eq!(server.take(3), b"bye");
    let ended = StreamInput::HalfClosed { connection: far };
    assert_eq!(server.next(), ended);
    server.act(StreamOutput::ShutDown { connection: far });
    assert_eq!(server.closed(), (CloseReason::Finished, 0));
    assert_eq!(client.closed(), (CloseReason::Closed, 0));
    // What is sent now is dropped and counted.
    client.act(StreamOutput::send(near, *b"late"));
}

#[test]
fn a_refused_connection_is_an_input_with_its_token() {
    let free = TcpListener::bind(ANY).unwrap();
    let peer = free.local_addr().unwrap();
    drop(free);
    let it = relay();
    it.act(StreamOutput::connect(3, peer));
    let expected = StreamInput::ConnectFailed {
        token: 3,
        peer,
        error: ErrorKind::ConnectionRefused,
    };
    assert_eq!(it.next(), expected);
}

#[test]
fn resets_are_told_apart() {
    let it = relay();
    let stream = TcpStream::connect(it.address).unwrap();
    let connection = it.opened();
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
    let by_peer = StreamInput::Closed {
        connection,
        reason: CloseReason::PeerReset,
        unsent: 0,
    };
    assert_eq!(it.next(), by_peer);

    let mut stream = TcpStream::connect(it.address).unwrap();
    let connection = it.opened();
    it.act(StreamOutput::Reset { connection });
    assert_eq!(it.closed(), (CloseReason::Reset, 0));
    let error = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_peer_that_never_reads_is_given_up() {
    // It has no room.
    let it = relay();
    let _stream = TcpStream::connect(it.address).unwrap();
    let connection = it.opened();
    let mut was_blocked = false;
    let (reason, unsent) = loop {
        it.act(StreamOutput::send(connection, vec![0; 100_000]));
        match it.reports.try_recv() {
            Ok(Report::Event { event, .. }) => match event {
                StreamInput::Blocked { .. } => was_blocked = true,
                StreamInput::Closed { reason, unsent, .. } => break (reason, unsent),
                input => panic!("{input:?}"),
            },
            Ok(report) => panic!("{report:?}"),
            Err(_) => {}
        }
    };
    assert!(was_blocked && unsent > 0);
    assert_eq!(reason, CloseReason::NotReading);

    // It makes no progress.
    let it = start(Relay::default(), |tcp| {
        tcp.stall_timeout(Duration::from_millis(50))
    });
    let _stream = TcpStream::connect(it.address).unwrap();
    let connection = it.opened();
    it.act(StreamOutput::send(connection, vec![0; 64 << 20]));
    let (reason, unsent) = it.closed();
    assert_eq!(reason, CloseReason::NotReading);
    assert!(unsent > 0);

    // It is closed, and the peer reads neither what waits nor the end.
    let it = start(Relay::default(), |tcp| {
        tcp.close_timeout(Duration::from_millis(50))
    });
    let _stream = TcpStream::connect(it.address).unwrap();
    let connection = it.opened();
    it.act(StreamOutput::send(connection, vec![0; 64 << 20]));
    it.act(StreamOutput::Close { connection });
    let (reason, unsent) = it.closed();
    assert_eq!(reason, CloseReason::NotReading);
    assert!(unsent > 0);
}

#[test]
fn much_passes_a_slow_reader_whole() {
    let it = relay();
    let stream = TcpStream::connect(it.address).unwrap();
    let connection = it.opened();
    let data = pattern(8 << 20);
    it.act(StreamOutput::send(connection, data.clone()));
    it.act(StreamOutput::ShutDown { connection });
    let mut got = Vec::new();
    (&stream).read_to_end(&mut got).unwrap();
    assert!(got == data);
    drop(stream);
    assert_eq!(it.closed(), (CloseReason::Finished, 0));
}

#[test]
fn a_client_that_does_not_read_its_answers_has_to_wait() {
    let server = start(Shout::default(), |tcp| tcp);
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_nonblocking(true).unwrap();
    let line = [&[b'a'; 99][..], b"\n"].concat();
    let mut sent = 0_usize;
    // It sends until it has to wait: all buffers are full then, and bounded.
    let mut waits = 0;
    while waits < 50 {
        let from = sent % line.len();
        match (&stream).write(&line[from..]) {
            Ok(written) => (sent, waits) = (sent + written, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                waits += 1;
                thread::sleep(Duration::from_millis(2));
            }
        }
        assert!(sent < 256 << 20, "the server buffers without a limit");
    }
    // Then it reads, and nothing is lost.
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(MINUTE)).unwrap();
    let whole = sent / line.len() * line.len();
    let mut got = vec![0; whole];
    (&stream).read_exact(&mut got).unwrap();
    let expected = line.to_ascii_uppercase();
    assert!(got.chunks(line.len()).all(|chunk| chunk == expected));
}

#[test]
fn a_pause_of_reading_loses_nothing() {
    let it = relay();
    let mut stream = TcpStream::connect(it.address).unwrap();
    let connection = it.opened();
    it.act(StreamOutput::PauseReading { connection });
    stream.write_all(b"while it was paused").unwrap();
    drop(stream);
    it.act(StreamOutput::send(connection, Vec::new()));
    assert!(it.reports.try_recv().is_err());
    it.act(StreamOutput::ResumeReading { connection });
    assert_eq!(it.take(19), b"while it was paused");
    assert_eq!(it.next(), StreamInput::HalfClosed { connection });
}

#[test]
fn a_shutdown_sends_what_waits_and_ends_the_connections() {
    let it = relay();
    let mut stream = TcpStream::connect(it.address).unwrap();
    let connection = it.opened();
    let data = pattern(4 << 20);
    it.act(StreamOutput::send(connection, data.clone()));
    let client = it.client.clone();
    let stopping = thread::spawn(move || client.ask(ShutDown(MINUTE)).wait().unwrap());
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert!(got == data);
    drop(stream);
    assert_eq!(stopping.join().unwrap(), []);
}

#[test]
fn a_connection_without_a_task_is_closed_and_reported() {
    let it = relay();
    assert_eq!(it.client.ask(ShutDown(MINUTE)).wait().unwrap(), []);
    let mut stream = TcpStream::connect(it.address).unwrap();
    let end = stream.read(&mut [0; 16]);
    assert!(matches!(end, Ok(0) | Err(_)));
    let report = it.reports.recv_timeout(MINUTE).unwrap();
    let Report::SocketFailed(failure) = report else {
        panic!("{report:?}");
    };
    assert_eq!(failure.reason, SocketError::Accept(ErrorKind::NotFound));
}

#[test]
fn a_spawned_task_claims_its_connection() {
    let it = start(Sessions::Listener(VecDeque::new()), |tcp| tcp);
    let streams: Vec<_> = (1..=20_usize)
        .map(|length| {
            let mut stream = TcpStream::connect(it.address).unwrap();
            stream.write_all(&vec![1; length]).unwrap();
            stream
        })
        .collect();
    for (stream, length) in streams.into_iter().zip(1_usize..) {
        let mut answer = String::new();
        (&stream).read_to_string(&mut answer).unwrap();
        assert_eq!(answer, length.to_string());
    }
}
