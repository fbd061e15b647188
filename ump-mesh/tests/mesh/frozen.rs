//! A participant whose process is stopped, and goes on.

use std::{
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ump_mesh::{
    Config,
    ump_router::{Change, RecvError, ServeOptions, link::wire::Failure},
};

use crate::support::{
    Double, LONG, Member, Price, Process, await_participants, await_server, config, domain,
    eventually, next, publish, until_the_parent_ends,
};

const DOMAIN: &str = "UMP_MESH_FROZEN";

fn short(domain: &str) -> Config {
    config(domain).lease(Duration::from_secs(1))
}

/// What the process does: it serves, and tells whether it does.
#[test]
fn child_process() {
    let Ok(domain) = std::env::var(DOMAIN) else {
        return;
    };
    let member = Member::join(short(&domain).name("child"));
    let server = Arc::new(member.router.serve::<Double>("a").unwrap());
    let serving = Arc::clone(&server);
    let router = member.router.clone();
    thread::spawn(move || {
        for (call, rctx) in &*serving {
            publish(&router, "executed", call.message.0);
            let _ = rctx.reply(2 * call.message.0);
        }
    });
    println!("\njoined");
    thread::spawn(|| until_the_parent_ends());
    let mut changes = member.router.subscribe::<Change>("double/a").unwrap();
    while server.is_serving() {
        changes.recv().wait().unwrap();
    }
    println!("\nstands by");
    loop {
        thread::park();
    }
}

fn signal(process: &Process, name: &str) {
    let command = format!("kill -{name} {}", process.id());
    let status = Command::new("sh").args(["-c", &command]).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_frozen_server_is_lost_and_stands_by_when_it_goes_on() {
    let domain = domain();
    let one = Member::join(short(&domain));
    let mut executed = one.router.subscribe::<Price>("executed").unwrap();
    let mut child = Process::start("frozen::child_process", (DOMAIN, &domain));
    child.line("joined");
    await_participants(&one, 1);
    await_server(&one.router, "a");
    let options = ServeOptions::new().standby();
    let standby = one.router.serve_with::<Double>("a", options).unwrap();
    eventually("it is confirmed", || one.mesh.settled(LONG).wait());
    assert_eq!(one.router.request("a", Double(1)).wait().unwrap(), 2);
    assert_eq!(next(&mut executed), Ok(1));
    signal(&child, "STOP");
    let frozen = Instant::now();
    // It is in the buffer of the socket when the process goes on.
    let error = one.router.request("a", Double(2)).wait().unwrap_err();
    println!("lost after {:?}", frozen.elapsed());
    let link = error.link().unwrap_or_else(|| panic!("{error:?}"));
    // On a busy machine zenoh may notice it later than nobody acknowledges the request.
    let is_lost = matches!(link.failure, Failure::ServerLost | Failure::LinkLost);
    assert!(is_lost, "{link}");
    assert_eq!(next(&mut executed), Err(RecvError::Interrupted));
    eventually("the standby serves", || standby.is_serving());
    signal(&child, "CONT");
    child.line("stands by");
    await_participants(&one, 1);
    assert!(standby.is_serving());
    // It has not executed what was meant for its former claim.
    assert!(one.mesh.settled(LONG).wait());
    thread::scope(|scope| {
        let caller = scope.spawn(|| one.router.request("a", Double(3)).timeout(LONG).wait());
        let (call, rctx) = standby.wait().unwrap();
        rctx.reply(call.message.0).unwrap();
        assert_eq!(caller.join().unwrap().unwrap(), 3);
    });
    assert!(executed.is_empty());
}
