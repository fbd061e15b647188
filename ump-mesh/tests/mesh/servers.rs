//! Servers of topics, and their requests.

use std::{thread, time::Duration};

use ump::Executed;
use ump_mesh::{
    Mesh,
    ump_router::{Error, RequestError, ServeOptions, link::wire::Failure},
};

use crate::support::{
    Double, LONG, Member, await_server, carrying, config, domain, eventually, members, serve,
};

#[test]
fn a_request_is_answered_by_the_one_server() {
    let [one, two, three] = members(&domain());
    let error = one.router.request("a", Double(1)).wait().unwrap_err();
    assert!(
        matches!(error, RequestError::NoServer(Double(1))),
        "{error:?}"
    );
    let serving = serve(&two.router, "a");
    for member in [&one, &three] {
        await_server(&member.router, "a");
        assert_eq!(member.router.request("a", Double(21)).wait().unwrap(), 42);
    }
    let refused = one.router.request("a", Double(0)).wait().unwrap_err();
    assert_eq!(refused.into_apperr(), Some("zero".to_owned()));
    let taken = one.router.serve::<Double>("a").unwrap_err();
    assert!(matches!(taken, Error::Taken(_)), "{taken}");
    two.router.close();
    assert_eq!(serving.join().unwrap(), 3);
    eventually("nobody serves", || {
        let outcome = one.router.request("a", Double(1)).wait();
        matches!(outcome, Err(RequestError::NoServer(_)))
    });
}

#[test]
fn deadlines_and_cancellation_travel() {
    let [one, two] = members(&domain());
    let server = two.router.serve::<Double>("a").unwrap();
    await_server(&one.router, "a");
    let short = Duration::from_millis(50);
    thread::scope(|scope| {
        let caller = scope.spawn(|| one.router.request("a", Double(1)).timeout(short).wait());
        let (_, rctx) = server.wait().unwrap();
        assert!(rctx.deadline().is_some());
        eventually("the caller is gone", || rctx.is_cancelled());
        assert!(caller.join().unwrap().unwrap_err().is_timeout());
    });
    thread::scope(|scope| {
        let (done, gone) = std::sync::mpsc::channel();
        let router = &one.router;
        scope.spawn(move || {
            let request = IntoFuture::into_future(router.request("a", Double(2)));
            let mut request = Box::pin(request);
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(request.as_mut().poll(&mut cx).is_pending());
            gone.recv_timeout(LONG).unwrap();
        });
        let (call, rctx) = server.wait().unwrap();
        assert_eq!((call.message, rctx.is_cancelled()), (Double(2), false));
        done.send(()).unwrap();
        eventually("the caller is gone", || rctx.is_cancelled());
    });
}

#[test]
fn a_server_that_lets_go_of_a_request_is_told() {
    let [one, two] = members(&domain());
    let server = two.router.serve::<Double>("a").unwrap();
    await_server(&one.router, "a");
    thread::scope(|scope| {
        let caller = scope.spawn(|| one.router.request("a", Double(1)).wait());
        drop(server.wait().unwrap());
        let error = caller.join().unwrap().unwrap_err();
        let link = error.link().unwrap();
        assert_eq!(
            (link.failure, link.executed),
            (Failure::NoReply, Executed::Perhaps)
        );
        assert!(link.link.starts_with("mesh:test-"), "{}", link.link);
        // Queued, and never taken.
        let caller = scope.spawn(|| one.router.request("a", Double(2)).wait());
        eventually("it is queued", || !server.is_empty());
        drop(server);
        let error = caller.join().unwrap().unwrap_err();
        assert_eq!(error.link().unwrap().failure, Failure::ServerLost);
        assert_eq!(error.into_message(), Some(Double(2)));
    });
}

#[test]
fn a_standby_of_another_participant_follows() {
    let [one, two, three] = members(&domain());
    let first = serve(&one.router, "a");
    for member in [&two, &three] {
        await_server(&member.router, "a");
    }
    let options = ServeOptions::new().standby();
    let second = two.router.serve_with::<Double>("a", options).unwrap();
    assert!(second.is_standing_by());
    one.mesh.leave();
    eventually("the standby serves", || second.is_serving());
    eventually("others know", || {
        three.router.pin::<Double>("a").unwrap().is_some()
    });
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let request = three.router.request("a", Double(4)).wait_for_server();
            request.timeout(LONG).wait()
        });
        let (call, rctx) = second.wait().unwrap();
        rctx.reply(call.message.0).unwrap();
        assert_eq!(caller.join().unwrap().unwrap(), 4);
    });
    // It still serves at home.
    assert_eq!(one.router.request("a", Double(1)).wait().unwrap(), 2);
    one.router.close();
    assert_eq!(first.join().unwrap(), 1);
}

#[test]
fn of_two_servers_one_steps_down() {
    let domain = domain();
    let (one, two) = (carrying(), carrying());
    let (first, second) = (one.serve::<Double>("a"), two.serve::<Double>("a"));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.is_serving() && second.is_serving());
    let join = |router| Mesh::join(router, config(&domain)).wait().unwrap();
    let meshes = [join(&one), join(&two)];
    let knows_all = |mesh: &Mesh, count| {
        let claims = mesh.participants().into_iter().map(|other| other.topics);
        claims.sum::<usize>() == count
    };
    for mesh in &meshes {
        eventually("the other claim is known", || knows_all(mesh, 1));
    }
    eventually("one serves", || first.is_serving() != second.is_serving());
    let (winner, loser) = if first.is_serving() {
        (first, second)
    } else {
        (second, first)
    };
    assert!(loser.is_standing_by());
    // Both, and a third one, ask the winner.
    let third = Member::join(config(&domain));
    eventually("both claims are known", || knows_all(&third.mesh, 2));
    await_server(&third.router, "a");
    for router in [&one, &two, &third.router] {
        thread::scope(|scope| {
            let caller = scope.spawn(|| router.request("a", Double(5)).timeout(LONG).wait());
            let (call, rctx) = winner.wait().unwrap();
            rctx.reply(call.message.0).unwrap();
            assert_eq!(caller.join().unwrap().unwrap(), 5);
        });
    }
    drop(winner);
    eventually("the loser follows", || loser.is_serving());
}
