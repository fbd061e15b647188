//! What is refused, and what must not hurt others.

use std::{io::Write, net::TcpStream, time::Duration};

use ump_router::link::sockets::{Address, LinkSetupError};

use crate::support::{Double, LONG, SocketPath, await_server, carrying, serve};

#[test]
fn addresses_are_checked() {
    let router = crate::support::router();
    for text in [
        "",
        "unix:",
        "tcp:",
        "tcp:nowhere",
        "tcp:127.0.0.1",
        "udp:127.0.0.1:1",
        "a",
    ] {
        let expected = LinkSetupError::Address(text.to_owned());
        assert_eq!(router.listen(text).unwrap_err(), expected);
        assert_eq!(router.connect(text).unwrap_err(), expected);
    }
}

#[test]
fn an_address_is_a_text_or_a_value() {
    let (hub, leaf) = (crate::support::router(), crate::support::router());
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address: &Address = listener.address();
    let text = address.to_string();
    let links = [
        leaf.connect(text.as_str()).unwrap(),
        leaf.connect(&text).unwrap(),
        leaf.connect(text.clone()).unwrap(),
        leaf.connect(address).unwrap(),
        leaf.connect(address.clone()).unwrap(),
    ];
    for link in links {
        assert_eq!(link.name(), text);
        assert!(link.opened().timeout(LONG).wait());
    }
    let any: Address = "tcp:127.0.0.1:0".parse().unwrap();
    assert!(hub.listen(any).is_ok());
}

#[test]
fn tcp_is_for_loopback_only() {
    let router = crate::support::router();
    for text in ["tcp:0.0.0.0:0", "tcp:[::]:0", "tcp:192.0.2.1:4242"] {
        let error = router.listen(text).unwrap_err();
        assert!(matches!(error, LinkSetupError::NotLoopback(_)), "{error}");
    }
    assert!(router.listen("tcp:127.0.0.1:0").is_ok());
    assert!(router.listen("tcp:localhost:0").is_ok());
}

#[test]
fn a_closed_router_neither_listens_nor_connects() {
    let router = crate::support::router();
    let listener = router.listen("tcp:127.0.0.1:0").unwrap();
    let link = router.connect("tcp:127.0.0.1:1").unwrap();
    router.close();
    assert!(!link.opened().wait());
    assert_eq!(
        router.listen("tcp:127.0.0.1:0").unwrap_err(),
        LinkSetupError::Closed
    );
    assert_eq!(
        router.connect("tcp:127.0.0.1:1").unwrap_err(),
        LinkSetupError::Closed
    );
    drop(listener);
}

#[test]
fn a_router_is_not_linked_to_itself() {
    let router = carrying();
    let listener = router.listen("tcp:127.0.0.1:0").unwrap();
    let link = router.connect(listener.address()).unwrap();
    assert!(!link.opened().timeout(Duration::from_millis(200)).wait());
}

#[test]
fn a_link_that_nobody_accepts_is_not_open() {
    let router = crate::support::router();
    let path = SocketPath::new();
    let link = router.connect(path.address()).unwrap();
    assert_eq!(link.name(), path.address());
    assert!(!link.opened().timeout(Duration::from_millis(100)).wait());
}

#[test]
fn silent_and_garbled_connections_hurt_no_link() {
    let hub = carrying();
    let server = serve(&hub, "a");
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let raw = address.strip_prefix("tcp:").unwrap();
    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(raw).unwrap()).collect();
    let mut garbled = TcpStream::connect(raw).unwrap();
    garbled
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut large = TcpStream::connect(raw).unwrap();
    large.write_all(&[0x7f; 64]).unwrap(); // a frame of two gigabytes
    let leaf = carrying();
    let link = leaf.connect(&address).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    await_server(&leaf, "a");
    assert_eq!(leaf.request("a", Double(3)).wait().unwrap(), 6);
    drop(silent);
    assert_eq!(leaf.request("a", Double(4)).wait().unwrap(), 8);
    hub.close();
    server.join().unwrap();
}

#[test]
fn a_dropped_listener_accepts_no_more() {
    let hub = carrying();
    let server = serve(&hub, "a");
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let leaf = carrying();
    let link = leaf.connect(&address).unwrap();
    await_server(&leaf, "a");
    drop(listener);
    let raw = address.strip_prefix("tcp:").unwrap();
    while TcpStream::connect(raw).is_ok() {}
    let late = carrying();
    let refused = late.connect(&address).unwrap();
    assert!(!refused.opened().timeout(Duration::from_millis(200)).wait());
    assert_eq!(
        leaf.request("a", Double(1)).wait().unwrap(),
        2,
        "the link stays"
    );
    drop(link);
    hub.close();
    server.join().unwrap();
}
