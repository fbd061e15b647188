//! Names of hosts, and addresses that other hosts reach.

use std::{net::TcpListener, time::Duration};

use ump_router::link::sockets::{LinkFailure, LinkSetupError, ListenOptions};

use crate::support::{LONG, carrying};

#[test]
fn all_addresses_of_a_host_are_tried() {
    let hub = carrying();
    let Ok(listener) = hub.listen("tcp:[::1]:0") else {
        println!("skipped: there is no IPv6");
        return;
    };
    let address = listener.address().to_string();
    let port = address.strip_prefix("tcp:[::1]:").unwrap();
    let leaf = carrying();
    // 127.0.0.1 comes first, where nobody listens.
    let link = leaf.connect(format!("tcp:localhost:{port}")).unwrap();
    assert!(
        link.opened().timeout(LONG).wait(),
        "{:?}",
        link.last_failure()
    );
}

#[test]
fn a_name_is_resolved() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let port = address.strip_prefix("tcp:127.0.0.1:").unwrap();
    let leaf = carrying();
    // The router itself knows it in small letters only.
    let link = leaf.connect(format!("tcp:LOCALHOST:{port}")).unwrap();
    assert!(
        link.opened().timeout(LONG).wait(),
        "{:?}",
        link.last_failure()
    );
    let second = hub.listen("tcp:LOCALHOST:0").unwrap();
    let link = leaf.connect(second.address()).unwrap();
    assert!(
        link.opened().timeout(LONG).wait(),
        "{:?}",
        link.last_failure()
    );
}

#[test]
fn a_host_without_an_address_is_a_failure_of_the_link() {
    let router = carrying();
    let link = router.connect("tcp:nowhere.invalid:1").unwrap();
    let mut attempts = 0..3000;
    let failure = attempts.find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        link.last_failure()
    });
    assert!(
        matches!(failure, Some(LinkFailure::Resolve(_))),
        "{failure:?}"
    );
    let error = router.listen("tcp:nowhere.invalid:1").unwrap_err();
    assert!(matches!(error, LinkSetupError::Host { .. }), "{error}");
}

#[test]
fn a_refused_connection_is_a_failure_of_the_link() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let router = carrying();
    let link = router.connect(format!("tcp:127.0.0.1:{port}")).unwrap();
    let mut attempts = 0..3000;
    let failure = attempts.find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        link.last_failure()
    });
    assert!(
        matches!(failure, Some(LinkFailure::Connect(_))),
        "{failure:?}"
    );
}

#[test]
fn plain_text_from_other_hosts_has_to_be_allowed() {
    let router = crate::support::router();
    let error = router.listen("tcp:0.0.0.0:0").unwrap_err();
    assert!(matches!(error, LinkSetupError::NotLoopback(_)), "{error}");
    let options = ListenOptions::new().allow_plain_text_from_other_hosts();
    let listener = router.listen_with("tcp:0.0.0.0:0", options).unwrap();
    let address = listener.address().to_string();
    let port = address.strip_prefix("tcp:0.0.0.0:").unwrap();
    let leaf = crate::support::router();
    let link = leaf.connect(format!("tcp:127.0.0.1:{port}")).unwrap();
    assert!(
        link.opened().timeout(LONG).wait(),
        "{:?}",
        link.last_failure()
    );
}
