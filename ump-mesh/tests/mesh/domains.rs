//! Domains, and participants without multicast.

use std::{net::TcpListener, thread, time::Duration};

use ump_mesh::{Config, Mesh};

use crate::support::{
    Member, Price, await_participants, await_subscriber, carrying, config, domain, next, publish,
};

/// A fixed participant, with its address.
fn fixed(domain: &str) -> (Member, String) {
    // The port may be taken before zenoh has it: then another one.
    for _ in 0..20 {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp/{}", free.local_addr().unwrap());
        drop(free);
        let router = carrying();
        let config = without_multicast(domain).listen(&address);
        if let Ok(mesh) = Mesh::join(&router, config).wait() {
            return (Member { router, mesh }, address);
        }
    }
    panic!("no free port");
}

fn without_multicast(domain: &str) -> Config {
    config(domain).multicast(false)
}

#[test]
fn participants_meet_at_a_fixed_one() {
    let domain = domain();
    let (fixed, address) = fixed(&domain);
    let one = Member::join(without_multicast(&domain).peer(&address));
    let two = Member::join(without_multicast(&domain).peer(&address));
    for member in [&fixed, &one, &two] {
        await_participants(member, 2);
    }
    // They go on when it leaves.
    let mut prices = one.router.subscribe::<Price>("a").unwrap();
    await_subscriber(&two.router, "a");
    fixed.mesh.leave();
    await_participants(&one, 1);
    await_participants(&two, 1);
    publish(&two.router, "a", 7);
    assert_eq!(next(&mut prices), Ok(7));
}

#[test]
fn two_domains_do_not_mix() {
    let (this, other) = (domain(), domain());
    // Even where they meet at one address.
    let (fixed, address) = fixed(&this);
    let stranger = Member::join(config(&other).peer(&address));
    let friend = Member::join(config(&this).peer(&address));
    let _prices = stranger.router.subscribe::<Price>("**").unwrap();
    let mut prices = friend.router.subscribe::<Price>("a").unwrap();
    await_participants(&friend, 1);
    await_subscriber(&fixed.router, "a");
    publish(&fixed.router, "a", 1);
    assert_eq!(next(&mut prices), Ok(1));
    // What would have come has had time to.
    thread::sleep(Duration::from_millis(500));
    assert!(stranger.mesh.participants().is_empty());
    assert_eq!(friend.mesh.participants().len(), 1);
    assert!(!fixed.router.has_subscribers::<Price>("b").unwrap());
}
