//! Raw echoes between two processes: threads with blocking sockets, and tokio.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    thread,
};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    children::{self, LISTENS, Process, Skipped},
    contenders::Contender,
    measure,
    peer::{Failed, Kind, one_thread},
};

const ROOM: usize = 16 << 10;

/// How an end of the echo waits.
#[derive(Clone, Copy)]
pub(crate) enum How {
    Threads,
    Tokio,
}

impl How {
    const fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Tokio => "tokio",
        }
    }
}

/// Both ends of a socket in another process.
trait Socket: Read + Write + Send + 'static {}

impl<T: Read + Write + Send + 'static> Socket for T {}

fn connect(address: &str) -> std::io::Result<Box<dyn Socket>> {
    Ok(match address.split_once(':') {
        Some(("unix", path)) => Box::new(UnixStream::connect(path)?),
        Some((_, address)) => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        None => unreachable!("an address has a kind"),
    })
}

/// Serves for ever.
pub(crate) fn serve(how: &str, address: &str) -> Result<(), Failed> {
    let is_tokio = how == How::Tokio.name();
    match address.split_once(':').ok_or("an address has a kind")? {
        ("unix", path) => {
            let listener = UnixListener::bind(path)?;
            children::ready(address);
            if is_tokio {
                return one_thread().block_on(async {
                    listener.set_nonblocking(true)?;
                    let listener = tokio::net::UnixListener::from_std(listener)?;
                    loop {
                        tokio::spawn(echo_in_task(listener.accept().await?.0));
                    }
                });
            }
            loop {
                let stream = listener.accept()?.0;
                thread::spawn(|| echo(stream));
            }
        }
        (_, bare) => {
            let listener = TcpListener::bind(bare)?;
            children::ready(address);
            if is_tokio {
                return one_thread().block_on(async {
                    listener.set_nonblocking(true)?;
                    let listener = tokio::net::TcpListener::from_std(listener)?;
                    loop {
                        let stream = listener.accept().await?.0;
                        stream.set_nodelay(true)?;
                        tokio::spawn(echo_in_task(stream));
                    }
                });
            }
            loop {
                let stream = listener.accept()?.0;
                stream.set_nodelay(true)?;
                thread::spawn(|| echo(stream));
            }
        }
    }
}

fn echo(mut stream: impl Read + Write) {
    let mut buffer = vec![0; ROOM];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

async fn echo_in_task(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut buffer = vec![0; ROOM];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// One echo, or two after each other, which is what a request by a hub needs at least.
pub(crate) fn contender(
    kind: Kind,
    how: How,
    payload: &Bytes,
    echoes: u32,
) -> Result<Contender, Skipped> {
    let address = children::any_address(kind);
    let process = Process::of(&["echo", how.name(), LISTENS, &address])?;
    let count = if echoes == 1 { "an echo" } else { "two echoes" };
    let name = format!("{count}, {}", how.name());
    let failed = |error: std::io::Error| Skipped(error.to_string());
    let (payload, mut reply) = (payload.clone(), vec![0; payload.len()]);
    if let How::Threads = how {
        let mut stream = connect(&address).map_err(failed)?;
        return Ok(Contender::new(name, vec![process], move |times| {
            measure::one_by_one(times, || {
                for _ in 0..echoes {
                    stream.write_all(&payload)?;
                    stream.read_exact(&mut reply)?;
                }
                Ok(())
            })
        }));
    }
    let runtime = one_thread();
    match address.split_once(':') {
        Some(("unix", path)) => {
            let stream = runtime.block_on(tokio::net::UnixStream::connect(path));
            let stream = stream.map_err(failed)?;
            Ok(in_tasks(name, process, runtime, stream, (payload, echoes)))
        }
        Some((_, bare)) => {
            let stream = runtime.block_on(tokio::net::TcpStream::connect(bare));
            let stream = stream.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            Ok(in_tasks(name, process, runtime, stream, (payload, echoes)))
        }
        None => unreachable!("an address has a kind"),
    }
}

fn in_tasks(
    name: String,
    process: Process,
    runtime: tokio::runtime::Runtime,
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    (payload, echoes): (Bytes, u32),
) -> Contender {
    let mut reply = vec![0; payload.len()];
    Contender::new(name, vec![process], move |times| {
        runtime.block_on(measure::one_by_one_async(times, async || {
            for _ in 0..echoes {
                stream.write_all(&payload).await?;
                stream.read_exact(&mut reply).await?;
            }
            Ok(())
        }))
    })
}
