//! The other ends of the connections, each with its own bad habits.

use std::{
    fmt,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use tests::LONG;

use crate::rng::Rng;

/// Where the peers connect to, and what the loop connects to.
pub(crate) struct Targets {
    tcp: SocketAddr,
    udp: SocketAddr,
    path: PathBuf,
    listener: TcpListener,
    nobody: SocketAddr,
}

impl Targets {
    pub(crate) fn new(tcp: SocketAddr, udp: SocketAddr, path: PathBuf) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self {
            tcp,
            udp,
            path,
            listener,
            nobody: unused.local_addr().unwrap(),
        }
    }

    /// Returns an address where the loop's connections are accepted.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Returns an address where nobody listens.
    pub(crate) fn nobody(&self) -> SocketAddr {
        self.nobody
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

macro_rules! counts {
    ($($count:ident)*) => {
        /// The counters of events.
        #[derive(Default)]
        pub(crate) struct Counts {
            $(pub(crate) $count: AtomicU64,)*
        }

        impl Counts {
            /// Checks that no kind of peer is missing. Panics are rare.
            pub(crate) fn assert_all_occurred(&self) {
                $(assert!(self.$count.load(Relaxed) > 0 || stringify!($count) == "panics",
                    "none: {}", stringify!($count));)*
            }
        }

        impl fmt::Display for Counts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(write!(f, "{} {}, ", self.$count.load(Relaxed), stringify!($count))?;)*
                Ok(())
            }
        }
    };
}

counts! {
    connections came echoed half_closed reset stalled slow unix datagrams dialled bytes cut requests panics
}

/// Runs one peer, from its beginning to its end.
pub(crate) fn run(targets: &Targets, rng: &mut Rng, counts: &Counts) {
    let count = |of: &AtomicU64| {
        of.fetch_add(1, Relaxed);
    };
    match rng.below(9) {
        0 => {
            count(&counts.came);
            for _ in 0..rng.below(20) {
                drop(connect(targets, counts)); // it comes, and goes
            }
        }
        1 => {
            count(&counts.echoed);
            if let Some(stream) = connect(targets, counts) {
                for _ in 0..rng.below(50) {
                    let bytes = pattern(rng.size(3_000) + 1);
                    if echo(&stream, &stream, &bytes, counts).is_none() {
                        break;
                    }
                }
            }
        }
        2 => {
            count(&counts.half_closed);
            if let Some(mut stream) = connect(targets, counts) {
                let bytes = pattern(rng.size(20_000));
                if stream.write_all(&bytes).is_ok() && stream.shutdown(Shutdown::Write).is_ok() {
                    let mut all = Vec::new();
                    let read = stream.read_to_end(&mut all);
                    check(
                        &bytes,
                        &all,
                        read.is_ok() && all.len() == bytes.len(),
                        counts,
                    );
                }
            }
        }
        3 => {
            count(&counts.reset);
            if let Some(mut stream) = connect(targets, counts) {
                let _ = stream.write_all(&pattern(2_000));
                let _ = stream.peek(&mut [0]); // closed with unread data, so it is reset
            }
        }
        4 => {
            count(&counts.stalled);
            if let Some(mut stream) = connect(targets, counts) {
                stream.set_nonblocking(true).unwrap();
                let bytes = pattern(64 * 1024);
                while stream.write(&bytes).is_ok() {} // it never reads
                thread::sleep(Duration::from_millis(rng.below(200)));
            }
        }
        5 => {
            count(&counts.slow);
            if let Some(stream) = connect(targets, counts) {
                slow(&stream, rng, counts);
            }
        }
        6 => {
            count(&counts.unix);
            if let Ok(stream) = UnixStream::connect(&targets.path) {
                stream.set_read_timeout(Some(LONG)).unwrap();
                for _ in 0..rng.below(20) {
                    let bytes = pattern(rng.size(3_000) + 1);
                    if echo(&stream, &stream, &bytes, counts).is_none() {
                        break;
                    }
                }
            }
        }
        7 => {
            count(&counts.datagrams);
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let time = Duration::from_millis(1 + rng.below(10));
            socket.set_read_timeout(Some(time)).unwrap();
            for _ in 0..rng.below(20) {
                let _ = socket.send_to(b"hello", targets.udp);
                let _ = socket.recv(&mut [0; 64]); // it may be lost
            }
        }
        _ => {
            while let Ok((stream, _)) = targets.listener.accept() {
                count(&counts.dialled);
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(LONG)).unwrap();
                match rng.below(3) {
                    0 => {}
                    1 => drop(stream.shutdown(Shutdown::Both)),
                    _ => drop(echo(&stream, &stream, &pattern(500), counts)),
                }
            }
        }
    }
}

fn connect(targets: &Targets, counts: &Counts) -> Option<TcpStream> {
    // While the handler is rebuilt, nobody listens.
    let stream = TcpStream::connect(targets.tcp).ok()?;
    counts.connections.fetch_add(1, Relaxed);
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    Some(stream)
}

/// Sends bytes, and reads them back. Returns nothing if the connection is over.
fn echo(mut write: impl Write, mut read: impl Read, bytes: &[u8], counts: &Counts) -> Option<()> {
    write.write_all(bytes).ok()?;
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while all.len() < bytes.len() {
        match read.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => all.extend(&buffer[..len]),
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "no answer in time");
                break;
            }
        }
    }
    check(bytes, &all, all.len() == bytes.len(), counts)
}

/// Writes and reads at once, but reads slowly.
fn slow(stream: &TcpStream, rng: &mut Rng, counts: &Counts) {
    let bytes = pattern(100_000 + rng.size(200_000));
    thread::scope(|scope| {
        let sent = scope.spawn(|| {
            let mut stream = stream;
            stream.write_all(&bytes).is_ok() && stream.shutdown(Shutdown::Write).is_ok()
        });
        let mut all = Vec::new();
        let mut buffer = vec![0; 8192];
        let mut stream = stream;
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            all.extend(&buffer[..read]);
            thread::sleep(Duration::from_micros(rng.below(500)));
        }
        let _ = stream.shutdown(Shutdown::Both);
        let is_all = sent.join().unwrap() && all.len() == bytes.len();
        check(&bytes, &all, is_all, counts);
    });
}

/// Checks that what came back is what was sent, or its beginning if the connection was cut.
fn check(sent: &[u8], came: &[u8], is_all: bool, counts: &Counts) -> Option<()> {
    assert!(sent.starts_with(came), "bytes are lost or mixed up");
    counts.bytes.fetch_add(came.len() as u64, Relaxed);
    if !is_all {
        counts.cut.fetch_add(1, Relaxed);
        return None;
    }
    Some(())
}

/// Bytes that are easy to tell apart.
fn pattern(len: usize) -> Vec<u8> {
    let byte = |n: usize| u8::try_from((n * 31 + n / 251) % 256).expect("it is below 256");
    (0..len).map(byte).collect()
}
