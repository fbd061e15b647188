//! A participant in a process of its own, which is killed.

use std::thread;

use ump::Executed;
use ump_mesh::ump_router::{RecvError, ServeOptions, link::wire::Failure};

use crate::support::{
    Double, LONG, Member, Price, Process, await_participants, await_server, await_subscriber,
    config, domain, eventually, next, publish, until_the_parent_ends,
};

const DOMAIN: &str = "UMP_MESH_KILL";

/// What the process does: it serves, holds some requests, and publishes how many.
#[test]
fn child_process() {
    let Ok(domain) = std::env::var(DOMAIN) else {
        return;
    };
    let member = Member::join(config(&domain).name("child"));
    // The second one finds a server.
    await_participants(&member, 2);
    assert!(member.mesh.settled(LONG).wait());
    let options = ServeOptions::new().standby();
    let server = member.router.serve_with::<Double>("a", options).unwrap();
    let router = member.router.clone();
    thread::spawn(move || {
        let mut held = Vec::new();
        for call in &server {
            held.push(call);
            publish(&router, "held", held.len() as u64);
        }
    });
    println!("\njoined");
    until_the_parent_ends();
}

#[test]
fn a_killed_participant_ends_its_requests_and_a_standby_follows() {
    let domain = domain();
    let one = Member::join(config(&domain));
    let two = Member::join(config(&domain));
    let mut held = one.router.subscribe::<Price>("held").unwrap();
    let mut quiet = one.router.subscribe::<Price>("quiet").unwrap();
    let mut child = Process::start("kill::child_process", (DOMAIN, &domain));
    child.line("joined");
    for member in [&one, &two] {
        await_participants(member, 2);
        await_server(&member.router, "a");
    }
    let participants = one.mesh.participants();
    let named = participants.iter().find(|it| it.name == "child").unwrap();
    assert_eq!(named.pid, child.id());
    let options = ServeOptions::new().standby();
    let standby = two.router.serve_with::<Double>("a", options).unwrap();
    thread::scope(|scope| {
        let callers: Vec<_> = (0..10)
            .map(|number| {
                let router = &one.router;
                scope.spawn(move || router.request("a", Double(number)).wait())
            })
            .collect();
        while next(&mut held) != Ok(10) {}
        child.kill();
        for caller in callers {
            let error = caller.join().unwrap().unwrap_err();
            let link = error.link().unwrap_or_else(|| panic!("{error:?}"));
            assert_eq!(
                (link.failure, link.executed),
                (Failure::ServerLost, Executed::Perhaps)
            );
            assert!(link.text.contains("had taken"), "{}", link.text);
        }
    });
    assert_eq!(next(&mut held), Err(RecvError::Interrupted));
    assert_eq!(next(&mut quiet), Err(RecvError::Interrupted));
    await_participants(&one, 1);
    eventually("the standby serves", || standby.is_serving());
    // The next one is found, and stands behind.
    let mut child = Process::start("kill::child_process", (DOMAIN, &domain));
    child.line("joined");
    await_participants(&one, 2);
    publish(&one.router, "nobody", 1);
    assert!(standby.is_serving());
}

#[test]
fn a_participant_that_joins_again_is_heard() {
    let domain = domain();
    let one = Member::join(config(&domain));
    let mut prices = one.router.subscribe::<Price>("a").unwrap();
    for round in 0..3 {
        let two = Member::join(config(&domain));
        await_subscriber(&two.router, "a");
        assert!(one.mesh.settled(LONG).wait());
        publish(&two.router, "a", round);
        assert_eq!(next(&mut prices), Ok(round));
        two.mesh.leave();
        await_participants(&one, 0);
    }
}
