//! Descriptors of any kind.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use rustix::pipe::{PipeFlags, pipe_with};

use ump_server::net::{Event, Interest, Operation};

use crate::support::{next, recorder};

fn pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::NONBLOCK).unwrap()
}

#[test]
fn a_pipe_is_a_source() {
    let (from, to) = pipe();
    let (host, events) = recorder(move |sockets| {
        (
            sockets.source(from, Interest::Read).unwrap(),
            sockets.source(to, Interest::Write).unwrap(),
        )
    });
    host.with(|world| {
        let (from, to) = &world.kept;
        let empty = from.read_with(|fd| Ok(rustix::io::read(fd, &mut [0; 8])?));
        assert_eq!(empty.unwrap_err().kind(), ErrorKind::WouldBlock);
        to.write_with(|fd| Ok(rustix::io::write(fd, b"hello")?))
            .unwrap();
    });
    let from = host.with(|world| world.kept.0.id());
    assert!(matches!(next(&events), Event::Readable(id) if id == from));
    host.with(|world| {
        let (from, to) = &world.kept;
        let mut buffer = [0; 8];
        let read = from.read_with(|fd| Ok(rustix::io::read(fd, &mut buffer)?));
        assert_eq!(read.unwrap(), 5);
        let _ = from
            .read_with(|fd| Ok(rustix::io::read(fd, &mut buffer)?))
            .unwrap_err();
        // Until it is full.
        while to
            .write_with(|fd| Ok(rustix::io::write(fd, &[0; 4096])?))
            .is_ok()
        {}
        from.pause_reading();
    });
    while events.try_recv().is_ok() {}
    host.with(|world| {
        // Past the source: the loop may not have looked at the selector since its last read.
        let from = world.kept.0.get_ref();
        while rustix::io::read(from, &mut [0; 4096]).is_ok() {}
    });
    let to = host.with(|world| world.kept.1.id());
    assert!(matches!(next(&events), Event::Writable(id) if id == to));
    host.end();
}

#[test]
fn a_regular_file_is_refused() {
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let (host, _events) = recorder(|_| ());
    let refused = host.with(move |world| {
        let refused = world.sockets.source(file, Interest::Read);
        refused.map(drop).map_err(|error| error.operation())
    });
    if cfg!(target_os = "linux") {
        assert_eq!(refused, Err(Operation::Register));
    }
    host.end();
}

#[test]
fn sockets_of_the_standard_library_are_adopted() {
    let (mut peer, own) = UnixStream::pair().unwrap();
    let (host, events) = recorder(move |sockets| sockets.adopt_unix(own).unwrap());
    peer.write_all(b"x").unwrap();
    assert!(matches!(next(&events), Event::Readable(_)));
    host.with(|world| {
        let mut byte = [0];
        assert_eq!(world.kept.read(&mut byte).unwrap(), 1);
        world.kept.write_all(&byte).unwrap();
    });
    peer.read_exact(&mut [0]).unwrap();
    host.end();
}
