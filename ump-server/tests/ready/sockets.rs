//! Sockets of tokio in a handler on a task.

use std::{
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    task::Poll,
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use ump_server::{
    Client, Context, Refused, ReplyContext, TestClock,
    task::{Builder, Handler, Service, serve},
};

use crate::in_time;

const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        stream.writable().await.unwrap();
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
}

/// Reads as many bytes as this.
async fn read(stream: &TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        stream.readable().await.unwrap();
        let mut buffer = vec![0; len - bytes.len()];
        match stream.try_read(&mut buffer) {
            Ok(read) => bytes.extend(&buffer[..read]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    bytes
}

/// Sends each datagram back. A request asks how many there were, and how many timers.
struct UdpEcho {
    socket: UdpSocket,
    counts: (u64, u64),
}

impl Service for UdpEcho {
    type Request = ();
    type Reply = (u64, u64);
    type Error = Refused;
    type Output = u64;
    type Timer = ();

    async fn init(&mut self, cx: &Context<(), (u64, u64), Refused>) {
        cx.timers().every(Duration::from_millis(1), ());
    }

    async fn handle(
        &mut self,
        (): (),
        reply: ReplyContext<'_, (u64, u64), Refused>,
    ) -> ControlFlow<u64> {
        let _ = reply.reply(self.counts);
        ControlFlow::Continue(())
    }

    async fn on_timer(&mut self, (): ()) -> ControlFlow<u64> {
        self.counts.1 += 1;
        ControlFlow::Continue(())
    }

    async fn ready(&mut self) {
        let _ = self.socket.readable().await;
    }

    async fn on_ready(&mut self) -> ControlFlow<u64> {
        let mut buffer = [0; 64];
        match self.socket.try_recv_from(&mut buffer) {
            Ok((4, _)) if buffer.starts_with(b"quit") => return ControlFlow::Break(self.counts.0),
            Ok((len, from)) => {
                self.counts.0 += 1;
                let sent = self.socket.try_send_to(&buffer[..len], from);
                assert_eq!(sent.expect("there is room"), len);
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        ControlFlow::Continue(())
    }
}

#[tokio::test]
async fn datagrams_come_between_requests_and_timers() {
    let socket = UdpSocket::bind(ANY_PORT).await.unwrap();
    let address = socket.local_addr().unwrap();
    let (client, handle) = serve(UdpEcho {
        socket,
        counts: (0, 0),
    });
    let peer = UdpSocket::bind(ANY_PORT).await.unwrap();
    for n in 1..=200 {
        peer.send_to(b"hello", address).await.unwrap();
        assert_eq!(in_time(peer.recv(&mut [0; 64])).await.unwrap(), 5);
        assert_eq!(client.areq(()).await.unwrap().0, n);
    }
    let ticks = async {
        while client.areq(()).await.unwrap().1 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    in_time(ticks).await;
    peer.send_to(b"quit", address).await.unwrap();
    assert_eq!(in_time(handle).await, Ok(Some(200)), "it ends the loop");
    assert!(client.areq(()).await.is_err());
}

/// Sends back whatever comes on one connection at a time.
struct TcpEcho {
    listener: TcpListener,
    accepted: Option<TcpStream>,
    stream: Option<TcpStream>,
}

impl Handler<(), u32, Refused> for TcpEcho {
    async fn proc_req(&mut self, (): (), reply: ReplyContext<'_, u32, Refused>) -> ControlFlow<()> {
        let _ = reply.reply(u32::from(self.stream.is_some()));
        ControlFlow::Continue(())
    }

    async fn ready(&mut self) {
        match &self.stream {
            Some(stream) => drop(stream.readable().await),
            None => self.accepted = self.listener.accept().await.ok().map(|(stream, _)| stream),
        }
    }

    async fn on_ready(&mut self) -> ControlFlow<()> {
        if let Some(stream) = self.accepted.take() {
            self.stream = Some(stream);
            return ControlFlow::Continue(());
        }
        let Some(stream) = &mut self.stream else {
            return ControlFlow::Continue(());
        };
        let mut buffer = [0; 64];
        match stream.try_read(&mut buffer) {
            Ok(0) => self.stream = None,
            Ok(read) => write_all(stream, &buffer[..read]).await, // never cut by a request
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.stream = None,
        }
        ControlFlow::Continue(())
    }
}

#[tokio::test]
async fn connections_are_accepted_read_and_written() {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    let made = TcpEcho {
        listener,
        accepted: None,
        stream: None,
    };
    let (client, _handle) = serve(made);
    for _ in 0..3 {
        let peer = TcpStream::connect(address).await.unwrap();
        for n in 0..100_u8 {
            write_all(&peer, &[n; 20]).await;
            let asked = client.areq(()).await;
            assert!(asked.is_ok());
            assert_eq!(in_time(read(&peer, 20)).await, [n; 20]);
        }
        assert_eq!(client.areq(()).await, Ok(1));
        drop(peer);
    }
}

#[tokio::test]
async fn a_test_clock_goes_on_beside_events() {
    let clock = TestClock::new();
    let socket = UdpSocket::bind(ANY_PORT).await.unwrap();
    let address = socket.local_addr().unwrap();
    let echo = UdpEcho {
        socket,
        counts: (0, 0),
    };
    let (client, _handle) = Builder::new().test_clock(&clock).serve(echo).unwrap();
    let peer = UdpSocket::bind(ANY_PORT).await.unwrap();
    for n in 1..=5 {
        peer.send_to(b"hello", address).await.unwrap();
        in_time(peer.recv(&mut [0; 64])).await.unwrap();
        assert_eq!(client.areq(()).await.unwrap(), (n, n - 1));
        advance(&clock, &client).await;
    }
}

/// Advances the clock by one period, on another thread, since the loop runs on this one.
async fn advance(clock: &TestClock, client: &Client<(), (u64, u64), Refused>) {
    let clock = clock.clone();
    let advanced = tokio::task::spawn_blocking(move || clock.advance(Duration::from_millis(1)));
    in_time(advanced).await.unwrap();
    client.areq(()).await.unwrap();
}

/// Sockets of a runtime, any of which may be ready.
struct Many(Vec<UdpSocket>);

impl Handler<(), Vec<SocketAddr>, Refused, u64> for Many {
    async fn proc_req(
        &mut self,
        (): (),
        reply: ReplyContext<'_, Vec<SocketAddr>, Refused>,
    ) -> ControlFlow<u64> {
        let addresses = self.0.iter().map(|socket| socket.local_addr().unwrap());
        let _ = reply.reply(addresses.collect());
        ControlFlow::Continue(())
    }

    async fn ready(&mut self) {
        poll_fn(|cx| {
            // All are polled, since each registers the waker.
            let ready = self.0.iter().filter(|it| it.poll_recv_ready(cx).is_ready());
            match ready.count() {
                0 => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
    }

    async fn on_ready(&mut self) -> ControlFlow<u64> {
        for socket in &self.0 {
            let mut buffer = [0; 8];
            if let Ok((len, from)) = socket.try_recv_from(&mut buffer) {
                let _ = socket.try_send_to(&buffer[..len], from);
            }
        }
        ControlFlow::Continue(())
    }
}

#[tokio::test]
async fn several_sockets_share_a_wait() {
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(UdpSocket::bind(ANY_PORT).await.unwrap());
    }
    let (client, _handle) = serve(Many(sockets));
    let peer = UdpSocket::bind(ANY_PORT).await.unwrap();
    for address in client.areq(()).await.unwrap() {
        peer.send_to(b"hello", address).await.unwrap();
        let mut buffer = [0; 8];
        let (len, from) = in_time(peer.recv_from(&mut buffer)).await.unwrap();
        assert_eq!((len, from), (5, address));
    }
}
