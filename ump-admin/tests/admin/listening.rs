//! Where it listens, and how it ends.

use std::{
    fs,
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
};

use tempfile::tempdir;
use ump_admin::{Address, Admin, ListenError};

use crate::client::{Connection, get};

#[test]
fn it_listens_on_a_unix_socket_for_its_user() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let address = format!("unix:{}", path.display());
    let admin = Admin::new().listen(&address).unwrap();
    assert_eq!(admin.address().to_string(), address);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    get(&admin, "/health").expect(200);
    let error = Admin::new().listen(&address).unwrap_err();
    assert!(matches!(error, ListenError::Bind { .. }), "{error}");
    get(&admin, "/health").expect(200);
    admin.stop();
    assert!(!path.exists());
}

#[test]
fn the_socket_of_a_dead_process_is_replaced() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let admin = Admin::new().listen(Address::Unix(path.clone())).unwrap();
    get(&admin, "/health").expect(200);
    drop(admin);
    fs::write(&path, "precious").unwrap();
    let error = Admin::new()
        .listen(Address::Unix(path.clone()))
        .unwrap_err();
    assert!(matches!(error, ListenError::Bind { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn an_address_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    match Admin::new().listen(address) {
        Err(ListenError::Bind {
            address: at,
            source,
        }) => {
            assert_eq!(at, address.to_string());
            assert_eq!(source.kind(), ErrorKind::AddrInUse);
        }
        other => panic!("{other:?}"),
    }
    let error = Admin::new().listen("nowhere").unwrap_err();
    assert!(matches!(error, ListenError::Address(_)), "{error}");
}

#[test]
fn a_stop_closes_idle_connections_and_streams() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    let Address::Tcp(address) = *admin.address() else {
        panic!("{admin:?}");
    };
    let mut idle = Connection::open(&admin);
    idle.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(idle.receive().unwrap().status, 200);
    let mut stream = Connection::open(&admin);
    stream.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(stream.head().unwrap().status, 200);
    assert!(stream.event().is_some());
    drop(admin);
    idle.wait_for_end();
    stream.wait_for_end();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_stop_does_not_wait_for_a_section_that_hangs() {
    let (release, hangs) = std::sync::mpsc::channel::<()>();
    let (tell, began) = std::sync::mpsc::channel();
    let hangs = std::sync::Mutex::new(hangs);
    let admin = Admin::new()
        .section("hangs", move || {
            let _ = tell.send(());
            let _ = hangs.lock().unwrap().recv();
            serde_json::Value::Null
        })
        .listen("127.0.0.1:0")
        .unwrap();
    let mut connection = Connection::open(&admin);
    connection.send("GET /api/sections/hangs HTTP/1.1\r\nHost: localhost\r\n\r\n");
    began.recv().unwrap();
    admin.stop();
    drop(release);
}
