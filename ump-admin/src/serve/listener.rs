//! The socket that accepts, of TCP or unix.

use std::{
    fs::{self, Permissions},
    io::{self, ErrorKind},
    net::TcpListener,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use hyper_util::rt::TokioIo;
use tokio_io_timeout::TimeoutStream;

use super::address::Address;

/// A socket that listens, not yet on a runtime.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listener {
    pub(crate) fn bind(address: &Address) -> io::Result<Self> {
        let listener = match address {
            Address::Tcp(address) => Self::Tcp(TcpListener::bind(address)?),
            Address::Unix(path) => {
                let (listener, file) = bind_unix(path)?;
                Self::Unix(listener, file)
            }
        };
        match &listener {
            Self::Tcp(tcp) => tcp.set_nonblocking(true)?,
            Self::Unix(unix, _) => unix.set_nonblocking(true)?,
        }
        Ok(listener)
    }

    pub(crate) fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(tcp) => Address::Tcp(tcp.local_addr()?),
            Self::Unix(_, file) => Address::Unix(file.path.clone()),
        })
    }

    /// Registers it with the runtime of this thread.
    pub(crate) fn into_async(self) -> io::Result<AsyncListener> {
        Ok(match self {
            Self::Tcp(tcp) => AsyncListener::Tcp(tokio::net::TcpListener::from_std(tcp)?),
            Self::Unix(unix, file) => {
                AsyncListener::Unix(tokio::net::UnixListener::from_std(unix)?, file)
            }
        })
    }
}

/// A socket that listens on a runtime.
#[derive(Debug)]
pub(crate) enum AsyncListener {
    Tcp(tokio::net::TcpListener),
    Unix(
        tokio::net::UnixListener,
        #[expect(dead_code, reason = "its drop removes the file")] SocketFile,
    ),
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl AsyncListener {
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(tcp) => {
                let (stream, _) = tcp.accept().await?;
                // An optimisation, which may fail.
                let _ = stream.set_nodelay(true);
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(unix, _) => unix.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

/// A stream whose writes have a deadline, for hyper.
pub(super) type Io<T> = TokioIo<std::pin::Pin<Box<TimeoutStream<T>>>>;

/// The file of a unix socket, which is removed in the end if it is still that of this process.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|is| is == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_abandoned(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(path)?,
    };
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok((listener, file))
}

/// Returns whether it is a socket at which no process listens.
fn is_abandoned(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    is_socket
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}
