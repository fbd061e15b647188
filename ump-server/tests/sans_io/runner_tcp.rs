//! Streams over the sockets of tokio: the tasks of `loop_tcp`.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use ump_server::sans_io::{
    CloseReason, Command, ConnectionId, EngineStats, Interface, IntoTask, Limits, Origin, Refused,
    Reply, Report, Request, Runner, SendTask, ShutDown, SocketError, StreamConnect, StreamInput,
    StreamOutput, Streams, TaskId, TokioTcp,
};

use crate::stream_tasks::{Relay, Sessions, Shout, pattern};

const MINUTE: Duration = Duration::from_secs(60);
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A runner with one task and one listener.
struct Started<T: SendTask> {
    client: ump_server::Client<Request<T>, Reply, Refused<T>>,
    running: JoinHandle<EngineStats>,
    task: TaskId,
    address: SocketAddr,
    reports: mpsc::UnboundedReceiver<Report<<T::Io as Interface>::Event>>,
}

async fn start<T: SendTask>(task: T, options: impl FnOnce(TokioTcp) -> TokioTcp) -> Started<T>
where
    T::Io: Interface<Net = Streams>,
    <T::Io as Interface>::Spawn: IntoTask<T>,
{
    let listener = TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tcp = options(TokioTcp::new());
    let number = tcp.add_listener(listener);
    assert_eq!(tcp.local_addr(number).unwrap(), address);
    let (report, reports) = mpsc::unbounded_channel();
    let report = move |it| drop(report.send(it));
    let mut runner = Runner::with_sockets(Limits::new(), tcp, report);
    let task = runner.spawn(task).unwrap();
    let (server, client) = ump::bounded(64).unwrap();
    Started {
        client,
        running: tokio::spawn(runner.run(server)),
        task,
        address,
        reports,
    }
}

async fn relay() -> Started<Relay> {
    start(Relay::default(), |tcp| tcp).await
}

impl Started<Relay> {
    async fn act(&self, output: StreamOutput) {
        let command = Command(self.task, output);
        self.client.ask(command).await.unwrap();
    }

    async fn next(&mut self) -> StreamInput<'static> {
        let report = timeout(MINUTE, self.reports.recv()).await.unwrap();
        match report.unwrap() {
            Report::Event { event, .. } => event,
            report => panic!("{report:?}"),
        }
    }

    async fn opened(&mut self) -> ConnectionId {
        match self.next().await {
            StreamInput::Opened { connection, .. } => connection,
            input => panic!("{input:?}"),
        }
    }

    async fn closed(&mut self) -> (CloseReason, usize) {
        loop {
            if let StreamInput::Closed { reason, unsent, .. } = self.next().await {
                return (reason, unsent);
            }
        }
    }

    /// Takes data until there are `length` bytes.
    async fn take(&mut self, length: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while taken.len() < length {
            if let StreamInput::Data { bytes, .. } = self.next().await {
                taken.extend_from_slice(&bytes);
            }
        }
        taken
    }
}

#[tokio::test]
async fn lines_are_answered_and_the_half_close_is_answered() {
    let server = start(Shout::default(), |tcp| tcp).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for byte in b"one\ntwo\nthree\n" {
        stream.write_all(&[*byte]).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "ONE\nTWO\nTHREE\n");
    // The end of the clients is the end of the runner.
    drop(server.client);
    let stats = server.running.await.unwrap();
    assert_eq!((stats.group.tasks, stats.transmit_dropped), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_connect_talk_and_close() {
    let (mut server, mut client) = (relay().await, relay().await);
    let connect = StreamConnect::new(7, server.address).timeout(MINUTE);
    client.act(StreamOutput::Connect(connect)).await;
    let StreamInput::Opened {
        connection: near,
        origin: Origin::Connected { token: 7 },
        local: Some(local),
        peer,
    } = client.next().await
    else {
        panic!("it is connected");
    };
    assert_eq!(peer, server.address);
    let StreamInput::Opened {
        connection: far,
        origin: Origin::Accepted { .. },
        peer,
        ..
    } = server.next().await
    else {
        panic!("it is accepted");
    };
    assert_eq!(peer, local);
    let data = pattern(300_000);
    client.act(StreamOutput::send(near, data.clone())).await;
    assert!(server.take(data.len()).await == data);
    server.act(StreamOutput::send(far, data.clone())).await;
    assert!(client.take(data.len()).await == data);
    client.act(StreamOutput::send(near, *b"bye")).await;
    client.act(StreamOutput::Close { connection: near }).await;
    assert_eq!(server.take(3).await, b"bye");
    let ended = StreamInput::HalfClosed { connection: far };
    assert_eq!(server.next().await, ended);
    server.act(StreamOutput::ShutDown { connection: far }).await;
    assert_eq!(server.closed().await, (CloseReason::Finished, 0));
    assert_eq!(client.closed().await, (CloseReason::Closed, 0));
}

#[tokio::test]
async fn a_connect_fails_with_its_token() {
    let free = TcpListener::bind(ANY).await.unwrap();
    let peer = free.local_addr().unwrap();
    drop(free);
    let mut it = relay().await;
    let failed = |token, error| StreamInput::ConnectFailed { token, peer, error };
    it.act(StreamOutput::connect(3, peer)).await;
    assert_eq!(it.next().await, failed(3, ErrorKind::ConnectionRefused));
    let used = StreamConnect::new(4, peer).local(it.address);
    it.act(StreamOutput::Connect(used)).await;
    assert_eq!(it.next().await, failed(4, ErrorKind::AddrInUse));
    let late = StreamConnect::new(5, peer).timeout(Duration::ZERO);
    it.act(StreamOutput::Connect(late)).await;
    assert_eq!(it.next().await, failed(5, ErrorKind::TimedOut));
}

#[tokio::test]
async fn resets_are_told_apart() {
    let mut it = relay().await;
    for ends_before in [false, true] {
        let mut stream = TcpStream::connect(it.address).await.unwrap();
        let connection = it.opened().await;
        if ends_before {
            // It is not read any more when the reset comes.
            stream.shutdown().await.unwrap();
            let ended = StreamInput::HalfClosed { connection };
            assert_eq!(it.next().await, ended);
        }
        it.act(StreamOutput::send(connection, *b"unread")).await;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        drop(stream); // with bytes that it has not read: a reset
        assert_eq!(it.closed().await, (CloseReason::PeerReset, 0));
    }
    let mut stream = TcpStream::connect(it.address).await.unwrap();
    let connection = it.opened().await;
    it.act(StreamOutput::Reset { connection }).await;
    assert_eq!(it.closed().await, (CloseReason::Reset, 0));
    let error = stream.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_peer_that_never_reads_is_given_up() {
    let stall = |tcp: TokioTcp| tcp.stall_timeout(Duration::from_millis(50));
    let mut it = start(Relay::default(), stall).await;
    let _stream = TcpStream::connect(it.address).await.unwrap();
    let connection = it.opened().await;
    it.act(StreamOutput::send(connection, vec![0; 64 << 20]))
        .await;
    let blocked = it.next().await;
    assert!(matches!(blocked, StreamInput::Blocked { .. }));
    let (reason, unsent) = it.closed().await;
    assert_eq!(reason, CloseReason::NotReading);
    assert!(unsent > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_passes_a_slow_reader_whole() {
    let mut it = relay().await;
    let mut stream = TcpStream::connect(it.address).await.unwrap();
    let connection = it.opened().await;
    let data = pattern(8 << 20);
    it.act(StreamOutput::send(connection, data.clone())).await;
    it.act(StreamOutput::ShutDown { connection }).await;
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert!(got == data);
    drop(stream);
    assert_eq!(it.closed().await, (CloseReason::Finished, 0));
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_has_to_wait() {
    let server = start(Shout::default(), |tcp| tcp).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let line = [&[b'a'; 99][..], b"\n"].concat();
    let lines = line.repeat(1_000);
    let mut sent = 0;
    // It sends until it has to wait: all buffers are full then, and bounded.
    loop {
        let write = stream.write(&lines[sent % line.len()..]);
        match timeout(Duration::from_millis(200), write).await {
            Ok(written) => sent += written.unwrap(),
            Err(_) => break,
        }
        assert!(sent < 256 << 20, "the server buffers without a limit");
    }
    // Then it reads, and nothing is lost.
    let mut got = vec![0; sent / line.len() * line.len()];
    let read = stream.read_exact(&mut got);
    timeout(MINUTE, read).await.unwrap().unwrap();
    let expected = line.to_ascii_uppercase();
    assert!(got.chunks(line.len()).all(|chunk| chunk == expected));
}

#[tokio::test]
async fn a_pause_of_reading_loses_nothing() {
    let mut it = relay().await;
    let mut stream = TcpStream::connect(it.address).await.unwrap();
    let connection = it.opened().await;
    it.act(StreamOutput::PauseReading { connection }).await;
    stream.write_all(b"while it was paused").await.unwrap();
    drop(stream);
    it.act(StreamOutput::send(connection, Vec::new())).await;
    assert!(it.reports.try_recv().is_err());
    it.act(StreamOutput::ResumeReading { connection }).await;
    assert_eq!(it.take(19).await, b"while it was paused");
    assert_eq!(it.next().await, StreamInput::HalfClosed { connection });
}

#[tokio::test]
async fn a_shutdown_sends_what_waits_and_ends_the_connections() {
    let mut it = relay().await;
    let mut stream = TcpStream::connect(it.address).await.unwrap();
    let connection = it.opened().await;
    let data = pattern(4 << 20);
    it.act(StreamOutput::send(connection, data.clone())).await;
    let client = it.client.clone();
    let stopping = tokio::spawn(async move { client.ask(ShutDown(MINUTE)).await.unwrap() });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert!(got == data);
    drop(stream);
    assert_eq!(stopping.await.unwrap(), []);
    // Nobody is left to whom a connection belongs.
    let mut stream = TcpStream::connect(it.address).await.unwrap();
    let end = stream.read(&mut [0; 16]).await;
    assert!(matches!(end, Ok(0) | Err(_)));
    let failure = loop {
        let report = timeout(MINUTE, it.reports.recv()).await.unwrap();
        if let Report::SocketFailed(failure) = report.unwrap() {
            break failure;
        }
    };
    assert_eq!(failure.reason, SocketError::Accept(ErrorKind::NotFound));
}

#[tokio::test]
async fn a_spawned_task_claims_its_connection() {
    let it = start(
        Sessions::Listener(std::collections::VecDeque::new()),
        |tcp| tcp,
    )
    .await;
    let mut streams = Vec::new();
    for length in 1..=200_usize {
        let mut stream = TcpStream::connect(it.address).await.unwrap();
        stream.write_all(&vec![1; length]).await.unwrap();
        streams.push((length, stream));
    }
    for (length, mut stream) in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, length.to_string());
    }
}
