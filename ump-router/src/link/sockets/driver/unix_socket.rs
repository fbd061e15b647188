//! The path of a unix socket: one owner at a time, and for its user from the beginning.
//!
//! 1. The owner of a path holds the lock (`flock`) of the file `PATH.lock` as long as it listens.
//! 2. A socket at the path whose lock is free, and that refuses connections, is that of a dead
//!    process. Only such a one is removed.
//! 3. The file of the lock is removed by the holder of the lock. A process that has locked a file
//!    which was removed meanwhile has no lock: it tries again.
//! 4. The socket gets its mode before it has a path (Linux), and in any case before it listens. A
//!    socket that does not listen refuses connections.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
};
use socket2::{Domain, SockAddr, Socket, Type};
use ump_server::net::UnixStream;

use crate::link::sockets::{access::Identity, error::LinkSetupError};

/// The mode of the socket and of the lock.
const MODE: u32 = 0o600;
const BACKLOG: i32 = 1024;

/// Others may have removed the file of the lock so many times in a row.
const ATTEMPTS: usize = 100;

/// A path that this process listens on, with its lock. It is removed when this is dropped: before
/// the socket is closed, as nobody replaces the path of a socket that is alive.
#[derive(Debug)]
pub(super) struct BoundPath {
    path: PathBuf,
    /// The device and the inode of the socket.
    file: Option<(u64, u64)>,
    _lock: PathLock,
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if self.file.is_some() && file(&self.path) == self.file {
            let _ = fs::remove_file(&self.path); // it is replaced by the next process otherwise
        }
    }
}

/// Listens on a path. The listener does not block.
pub(super) fn listen(path: &Path) -> Result<(UnixListener, BoundPath), LinkSetupError> {
    check_folder(path)?;
    let address = SockAddr::unix(path).map_err(|_| LinkSetupError::PathTooLong(path.to_owned()))?;
    let lock = PathLock::acquire(path)?;
    let failed = |error: io::Error| LinkSetupError::Path {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    remove_dead(path, &address)?;
    let socket = new_socket().map_err(failed)?;
    // Where the system does not support this, the mode is set below.
    let _ = rustix::fs::fchmod(&socket, Mode::from_raw_mode(MODE as _));
    socket.bind(&address).map_err(failed)?;
    let bound = BoundPath {
        path: path.to_owned(),
        file: file(path),
        _lock: lock,
    };
    let mode = fs::symlink_metadata(path).map_err(failed)?.permissions();
    if mode.mode() & 0o777 != MODE {
        fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(failed)?;
    }
    socket.listen(BACKLOG).map_err(failed)?;
    Ok((UnixListener::from(OwnedFd::from(socket)), bound))
}

/// Returns who is at the other end of a connection, as the system knows.
#[cfg(target_os = "linux")]
pub(super) fn identity(stream: &UnixStream) -> Identity {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

    match getsockopt(stream, PeerCredentials) {
        Ok(peer) => Identity::Unix {
            uid: peer.uid(),
            gid: peer.gid(),
            pid: peer.pid(),
        },
        Err(_) => Identity::Anonymous { address: None },
    }
}

/// The peer is not known on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn identity(_: &UnixStream) -> Identity {
    Identity::Anonymous { address: None }
}

fn new_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn file(path: &Path) -> Option<(u64, u64)> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

fn check_folder(path: &Path) -> Result<(), LinkSetupError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = |reason: &str| {
        let folder = folder.to_owned();
        let reason = reason.to_owned();
        Err(LinkSetupError::Folder { folder, reason })
    };
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => failed("it is not a folder"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            failed("it does not exist: make it first")
        }
        Err(error) => failed(&error.to_string()),
    }
}

/// Removes the socket of a dead process. The lock is held.
fn remove_dead(path: &Path, address: &SockAddr) -> Result<(), LinkSetupError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(()); // there is none, or `bind` says why it cannot be seen
    };
    if !found.file_type().is_socket() {
        return Err(LinkSetupError::NotASocket(path.to_owned()));
    }
    // A program that knows nothing of the lock may listen.
    let probed = new_socket().and_then(|probe| probe.connect(address));
    if probed.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        let _ = fs::remove_file(path); // `bind` says why not
        Ok(())
    } else {
        Err(LinkSetupError::InUse(path.to_owned()))
    }
}

#[derive(Debug)]
struct PathLock {
    path: PathBuf,
    file: File,
}

impl PathLock {
    /// Locks a path, if no other process has it.
    fn acquire(socket: &Path) -> Result<Self, LinkSetupError> {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                LinkSetupError::Folder {
                    folder: path.parent().unwrap_or(Path::new(".")).to_owned(),
                    reason: format!("the file {} cannot be made: {error}", path.display()),
                }
            }
            _ => LinkSetupError::Path {
                path: path.clone(),
                reason: error.to_string(),
            },
        };
        for _ in 0..ATTEMPTS {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true).mode(MODE);
            options.custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0));
            let file = options.open(&path).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => return Err(LinkSetupError::InUse(socket.to_owned())),
                Err(error) => return Err(failed(error.into())),
            }
            let locked = file.metadata().map_err(failed)?;
            if self::file(&path) == Some((locked.dev(), locked.ino())) {
                return Ok(Self { path, file });
            }
        }
        Err(LinkSetupError::InUse(socket.to_owned()))
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // it does no harm
        let _ = flock(&self.file, FlockOperation::Unlock); // closing it does the same
    }
}
