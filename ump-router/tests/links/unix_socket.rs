//! The path of a unix socket: its mode, its owner, and what can be in its place.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::Instant,
};

use ump_router::{Router, link::sockets::LinkSetupError};

use crate::support::{Double, LONG, SocketPath, await_server, carrying, serve};

fn lock_of(path: &SocketPath) -> PathBuf {
    PathBuf::from(format!("{}.lock", path.0.display()))
}

fn error_of(path: &Path) -> LinkSetupError {
    let router = crate::support::router();
    let address = format!("unix:{}", path.display());
    router.listen(&address).unwrap_err()
}

#[test]
fn a_unix_socket_and_its_lock_are_for_its_user() {
    let path = SocketPath::new();
    let router = crate::support::router();
    let listener = router.listen(path.address()).unwrap();
    for file in [path.0.clone(), lock_of(&path)] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    drop(listener);
    router.close();
    await_gone(&path.0);
    await_gone(&lock_of(&path));
}

fn await_gone(path: &Path) {
    let begun = Instant::now();
    while fs::symlink_metadata(path).is_ok() {
        assert!(begun.elapsed() < LONG, "{} stays", path.display());
        std::thread::yield_now();
    }
}

#[test]
fn the_socket_of_a_dead_process_is_replaced() {
    let path = SocketPath::new();
    drop(UnixListener::bind(&path.0).unwrap()); // leaves its file
    fs::write(lock_of(&path), "").unwrap(); // which nobody has locked
    let hub = carrying();
    let server = serve(&hub, "a");
    let _listener = hub.listen(path.address()).unwrap();
    let leaf = carrying();
    let _link = leaf.connect(path.address()).unwrap();
    await_server(&leaf, "a");
    assert_eq!(leaf.request("a", Double(2)).wait().unwrap(), 4);
    hub.close();
    server.join().unwrap();
}

#[test]
fn the_socket_of_a_living_process_stays() {
    let path = SocketPath::new();
    let first = crate::support::router();
    let listener = first.listen(path.address()).unwrap();
    assert_eq!(error_of(&path.0), LinkSetupError::InUse(path.0.clone()));
    // Also if its file is gone.
    fs::remove_file(&path.0).unwrap();
    assert_eq!(error_of(&path.0), LinkSetupError::InUse(path.0.clone()));
    drop(listener);
    first.close();
    await_gone(&lock_of(&path));
    let second = crate::support::router();
    assert!(second.listen(path.address()).is_ok());
}

#[test]
fn the_socket_of_a_program_without_locks_stays() {
    let path = SocketPath::new();
    let other = UnixListener::bind(&path.0).unwrap();
    assert_eq!(error_of(&path.0), LinkSetupError::InUse(path.0.clone()));
    UnixStream::connect(&path.0).unwrap();
    drop(other);
    assert!(fs::symlink_metadata(lock_of(&path)).is_err());
}

#[test]
fn of_routers_that_start_at_once_one_listens() {
    let path = SocketPath::new();
    drop(UnixListener::bind(&path.0).unwrap());
    let address = path.address();
    let routers: Vec<_> = (0..8).map(|_| crate::support::router()).collect();
    let listening: Vec<_> = std::thread::scope(|scope| {
        let address = &address;
        let begin = |router| scope.spawn(move || Router::listen(router, address));
        let threads: Vec<_> = routers.iter().map(begin).collect();
        let ends = threads.into_iter().map(|thread| thread.join().unwrap());
        ends.collect()
    });
    let (ok, failed): (Vec<_>, Vec<_>) = listening.into_iter().partition(Result::is_ok);
    assert_eq!(ok.len(), 1);
    for one in failed {
        assert_eq!(one.unwrap_err(), LinkSetupError::InUse(path.0.clone()));
    }
    assert!(fs::metadata(&path.0).unwrap().file_type().is_socket());
}

#[test]
fn other_files_and_folders_are_named_in_errors() {
    let path = SocketPath::new();
    fs::write(&path.0, "a letter").unwrap();
    assert_eq!(
        error_of(&path.0),
        LinkSetupError::NotASocket(path.0.clone())
    );
    assert_eq!(fs::read_to_string(&path.0).unwrap(), "a letter");

    let missing = path.0.with_extension("missing");
    let error = error_of(&missing.join("bus.sock"));
    let LinkSetupError::Folder { folder, reason } = &error else {
        panic!("{error}");
    };
    assert_eq!(*folder, missing);
    assert!(reason.contains("does not exist"), "{error}");

    let error = error_of(&path.0.join("bus.sock"));
    assert!(matches!(error, LinkSetupError::Folder { .. }), "{error}");

    let long = path.0.with_file_name("a".repeat(200));
    assert_eq!(error_of(&long), LinkSetupError::PathTooLong(long.clone()));
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may write everywhere");
        return;
    }
    let path = SocketPath::new();
    let folder = path.0.with_extension("d");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let error = error_of(&folder.join("bus.sock"));
    fs::remove_dir(&folder).unwrap();
    assert!(matches!(error, LinkSetupError::Folder { .. }), "{error}");
}
