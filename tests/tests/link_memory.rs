//! Memory of links that come and go.
#![cfg(unix)]

use std::time::Duration;

use tests::{LONG, Meter};
use ump_router::{
    Router,
    link::{session::Timeouts, sockets::ListenOptions},
};

#[global_allocator]
static METER: Meter = Meter::new();

/// The memory that may stay, of tables that have grown.
const KEPT: usize = 32 * 1024;

/// No deadline of a link passes in the test.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn links_that_have_ended_keep_no_memory() {
    let (hub, leaf) = (Router::new(), Router::new());
    let timeouts = Timeouts {
        hello: NEVER,
        ping: NEVER,
        silence: NEVER,
        ..Timeouts::default()
    };
    let options = ListenOptions::new().timeouts(timeouts);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let come_and_go = |count| {
        for _ in 0..count {
            let link = leaf.connect(listener.address()).unwrap();
            assert!(link.opened().timeout(LONG).wait());
            assert!(link.close().timeout(LONG).wait());
        }
    };
    come_and_go(100);
    let before = METER.live();
    come_and_go(4000);
    let grown = METER.live().saturating_sub(before);
    assert!(grown <= KEPT, "{grown} bytes were kept");
}
