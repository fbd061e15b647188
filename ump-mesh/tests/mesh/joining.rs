//! Participants come and go.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
};

use ump_mesh::{Mesh, MeshError};

use crate::support::{
    LONG, Member, await_participants, carrying, config, domain, eventually, members,
};

#[test]
fn participants_find_each_other_without_an_address() {
    let [one, two, three] = members(&domain());
    let mut names: Vec<_> = one
        .mesh
        .participants()
        .into_iter()
        .map(|it| it.name)
        .collect();
    names.sort();
    assert_eq!(names, ["member 1", "member 2"]);
    let participants = one.mesh.participants();
    let second = participants
        .iter()
        .find(|it| it.id == two.mesh.id())
        .unwrap();
    assert_eq!(second.pid, std::process::id());
    assert!(second.age() < LONG && !second.host.is_empty());
    three.mesh.leave();
    await_participants(&one, 1);
    await_participants(&two, 1);
}

#[test]
fn what_a_participant_has_is_counted() {
    let [one, two] = members(&domain());
    let _prices = two.router.subscribe::<crate::support::Price>("a").unwrap();
    let _server = two.router.serve::<crate::support::Double>("a").unwrap();
    let counts = || {
        let participants = one.mesh.participants();
        (participants[0].subscriptions, participants[0].topics)
    };
    eventually("it is counted", || counts() == (1, 1));
    assert!(two.mesh.settled(LONG).wait());
}

#[test]
fn a_router_joins_from_a_task() {
    let (domain, router) = (domain(), carrying());
    let mut joining = pin!(IntoFuture::into_future(Mesh::join(
        &router,
        config(&domain)
    )));
    let thread = thread::current();
    let waker = Waker::from(std::sync::Arc::new(Unpark(thread)));
    let mesh = loop {
        match joining.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(joined) => break joined.unwrap(),
            Poll::Pending => thread::park_timeout(LONG),
        }
    };
    let other = Member::join(config(&domain));
    await_participants(&other, 1);
    assert_eq!(other.mesh.participants()[0].id, mesh.id());
    assert_eq!(mesh.domain(), domain);
}

struct Unpark(thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn a_closed_router_leaves_and_does_not_join() {
    let [one, two] = members(&domain());
    two.router.close();
    await_participants(&one, 0);
    let again = Mesh::join(&two.router, config(&domain())).wait();
    assert_eq!(again.unwrap_err(), MeshError::Closed);
}

#[test]
fn a_wrong_configuration_is_refused() {
    let router = carrying();
    let error = Mesh::join(&router, config("a/b")).wait().unwrap_err();
    assert_eq!(error, MeshError::Domain("a/b".to_owned()));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp/{}", taken.local_addr().unwrap());
    let error = Mesh::join(&router, config(&domain()).listen(address)).wait();
    assert!(matches!(error, Err(MeshError::Open(_))), "{error:?}");
}

#[test]
fn joining_that_is_given_up_leaves_nothing() {
    let (domain, router) = (domain(), carrying());
    drop(Mesh::join(&router, config(&domain)));
    drop(IntoFuture::into_future(Mesh::join(
        &router,
        config(&domain),
    )));
    let [_one, _two] = members(&domain);
}
