//! Unix sockets: paths, streams and datagrams.

use std::{
    fs,
    io::{ErrorKind, IoSlice, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::AsFd as _,
        unix::net::{
            UnixDatagram as StdUnixDatagram, UnixListener as StdUnixListener,
            UnixStream as StdUnixStream,
        },
    },
    path::PathBuf,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};

use ump_server::net::{Address, Event};

use crate::support::{next, recorder};

/// A directory that is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ump-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_unix_stream_echoes() {
    let directory = Directory::new("stream");
    let path = directory.path();
    let (host, events) = recorder({
        let path = path.clone();
        move |sockets| sockets.listen_unix(path).unwrap()
    });
    let mut peer = StdUnixStream::connect(&path).unwrap();
    let Event::AcceptedUnix { stream, .. } = next(&events) else {
        panic!()
    };
    assert_eq!(stream.local_addr(), Address::Path(path.clone()));
    assert_eq!(stream.peer_addr(), Address::Unnamed);
    peer.write_all(b"hello").unwrap();
    assert!(matches!(next(&events), Event::Readable(id) if id == stream.id()));
    let mut buffer = [0; 64];
    assert_eq!(stream.read(&mut buffer).unwrap(), 5);
    assert_eq!(stream.write(&buffer[..5]).unwrap(), 5);
    peer.read_exact(&mut buffer[..5]).unwrap();
    assert_eq!(&buffer[..5], b"hello");
    drop(stream);
    host.end();
    assert!(!path.exists(), "the path goes with its listener");
}

#[test]
fn data_behind_a_passed_descriptor_is_read() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    let (ours, peer) = StdUnixStream::pair().unwrap();
    // A read ends behind the byte that has the descriptor.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed = [peer.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
    let parts = [IoSlice::new(b"a")];
    sendmsg(&peer, &parts, &mut control, SendFlags::empty()).unwrap();
    (&peer).write_all(b"bc").unwrap();
    let (host, events) = recorder(move |sockets| sockets.adopt_unix(ours).unwrap());
    let mut all = Vec::new();
    while all.len() < 3 {
        assert!(matches!(next(&events), Event::Readable(_)));
        all.extend(host.with(|world| {
            let mut buffer = [0; 64];
            let read = world.kept.read(&mut buffer).unwrap_or(0);
            buffer[..read].to_vec()
        }));
    }
    assert_eq!(all, b"abc");
    host.end();
}

#[test]
fn the_path_of_a_live_server_is_not_stolen() {
    let directory = Directory::new("live");
    let path = directory.path();
    let _live = StdUnixListener::bind(&path).unwrap();
    let (host, _events) = recorder(|_| ());
    let refused = host.with({
        let path = path.clone();
        move |world| world.sockets.listen_unix(path).unwrap_err()
    });
    assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    StdUnixStream::connect(&path).unwrap();
    // Another file is not removed, either.
    let file = directory.0.join("file");
    fs::write(&file, "precious").unwrap();
    let refused = host.with({
        let file = file.clone();
        move |world| world.sockets.listen_unix(file).unwrap_err()
    });
    assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    host.end();
}

#[test]
fn the_path_of_a_dead_server_is_replaced() {
    let directory = Directory::new("dead");
    let path = directory.path();
    drop(StdUnixListener::bind(&path).unwrap()); // it leaves its path
    assert!(path.exists());
    let (host, _events) = recorder({
        let path = path.clone();
        move |sockets| sockets.listen_unix(path).unwrap()
    });
    StdUnixStream::connect(&path).unwrap();
    host.end();
}

#[test]
fn the_path_goes_before_its_socket() {
    let directory = Directory::new("order");
    let path = directory.path();
    let (host, _events) = recorder(|_| ());
    for _ in 0..300 {
        let listener = host.with({
            let path = path.clone();
            move |world| world.sockets.listen_unix(path).unwrap()
        });
        let is_probed = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                StdUnixStream::connect(&path).unwrap();
                is_probed.wait();
                let refused = loop {
                    if let Err(error) = StdUnixStream::connect(&path) {
                        break error;
                    }
                };
                // Another process would take a path that refuses for dead, and replace it.
                assert!(!path.exists(), "{refused}");
            });
            is_probed.wait();
            drop(listener);
        });
        assert!(!path.exists());
    }
    host.end();
}

#[test]
fn of_two_that_start_at_once_one_gets_the_path() {
    let directory = Directory::new("race");
    for round in 0..20 {
        let path = directory.0.join(round.to_string());
        drop(StdUnixListener::bind(&path).unwrap());
        let barrier = Arc::new(Barrier::new(3));
        let start = |_| {
            let (path, barrier) = (path.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                let (host, _events) = recorder(move |sockets| {
                    barrier.wait();
                    sockets.listen_unix(path)
                });
                let listens = host.with(|world| match &world.kept {
                    Ok(_) => true,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::AddrInUse);
                        false
                    }
                });
                (host, listens)
            })
        };
        let all: Vec<_> = (0..3).map(start).collect();
        let all: Vec<_> = all
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(all.iter().filter(|(_, listens)| *listens).count(), 1);
        StdUnixStream::connect(&path).unwrap();
        for (host, _) in all {
            host.end();
        }
    }
}

#[test]
fn a_connect_to_a_full_backlog_is_tried_again() {
    let directory = Directory::new("full");
    let path = directory.path();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    let (host, events) = recorder(|_| ());
    let streams = host.with({
        let path = path.clone();
        move |world| {
            let connect = |_| world.sockets.connect_unix(&path, None).unwrap();
            (0..8).map(connect).collect::<Vec<_>>()
        }
    });
    let accepting = thread::spawn(move || {
        (0..8)
            .map(|_| listener.accept().unwrap())
            .collect::<Vec<_>>()
    });
    let mut connected = Vec::new();
    while connected.len() < 8 {
        match next(&events) {
            Event::Connected(id) => connected.push(id),
            other => panic!("unexpected: {other:?}"),
        }
    }
    let peers = accepting.join().unwrap();
    let mut ids: Vec<_> = streams
        .iter()
        .map(ump_server::net::UnixStream::id)
        .collect();
    ids.sort();
    connected.sort();
    assert_eq!(ids, connected);
    assert_eq!(streams[0].write(b"x").unwrap(), 1);
    drop((streams, peers));
    host.end();
}

#[test]
fn a_connect_to_a_full_backlog_times_out() {
    let directory = Directory::new("late");
    let path = directory.path();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let (host, events) = recorder(|_| ());
    let streams = host.with(move |world| {
        let timeout = Some(Duration::from_millis(50));
        let connect = |_| world.sockets.connect_unix(&path, timeout).unwrap();
        (0..4).map(connect).collect::<Vec<_>>()
    });
    let mut late = 0;
    for _ in 0..4 {
        match next(&events) {
            Event::Connected(_) => {}
            Event::Error(error) => {
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                late += 1;
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert!(late > 0 || !cfg!(target_os = "linux"));
    drop(streams);
    host.end();
}

#[test]
fn a_connect_to_no_path_is_an_error_that_names_it() {
    let directory = Directory::new("none");
    let path = directory.path();
    let (host, events) = recorder(|_| ());
    let stream = host.with({
        let path = path.clone();
        move |world| world.sockets.connect_unix(path, None).unwrap()
    });
    let Event::Error(error) = next(&events) else {
        panic!()
    };
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.socket(), Some(stream.id()));
    assert_eq!(error.address().path(), Some(&*path));
    drop(stream);
    host.end();
}

#[test]
fn unix_datagrams_carry_the_senders_path() {
    let directory = Directory::new("datagram");
    let path = directory.path();
    let (host, events) = recorder({
        let path = path.clone();
        move |sockets| sockets.unix_datagram(path).unwrap()
    });
    let from = directory.0.join("peer");
    let peer = StdUnixDatagram::bind(&from).unwrap();
    peer.send_to(b"hello", &path).unwrap();
    assert!(matches!(next(&events), Event::Readable(_)));
    let received = host.with(|world| {
        let mut buffer = [0; 3];
        world.kept.recv_from(&mut buffer).unwrap()
    });
    assert_eq!(
        (received.len, received.from),
        (3, Address::Path(from.clone()))
    );
    assert_eq!(received.is_truncated, cfg!(target_os = "linux"));
    host.with(move |world| world.kept.send_to(b"reply", from).unwrap());
    assert_eq!(peer.recv(&mut [0; 64]).unwrap(), 5);
    host.end();
}
