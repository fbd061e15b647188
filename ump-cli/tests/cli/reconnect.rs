//! `ump sub` and `ump reply` when the hub goes and comes back.

use rustix::process::Signal;
use tempfile::TempDir;
use ump_router::{
    Router,
    link::sockets::{ListenOptions, Rules},
};

use crate::support::{Double, Hub, Ump, run};

/// An address at which one hub follows the other.
struct Place {
    address: String,
    _folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("unix:{}", folder.path().join("bus.sock").display());
        Self {
            address,
            _folder: folder,
        }
    }

    fn hub(&self) -> Ump {
        let mut hub = Ump::start(&["serve", "--listen", &self.address]);
        assert_eq!(hub.line(), format!("listening on {}", self.address));
        hub
    }

    fn publish(&self, text: &str) {
        let args = ["pub", "--on", &self.address, "a/b", "--text", text];
        let ran = run(&args);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    fn request(&self, text: &str) -> String {
        let args = ["req", "--on", &self.address, "echo/a", "--text", text];
        let ran = run(&args);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    }
}

fn kill(hub: Ump) {
    hub.signal(Signal::KILL);
    hub.end();
}

#[test]
fn a_subscriber_goes_on_after_a_gap() {
    let place = Place::new();
    let hub = place.hub();
    let args = ["sub", "--on", &place.address, "a/**", "other"];
    let mut sub = Ump::start_until(&args, "subscribed");
    place.publish("one");
    assert_eq!(sub.line(), "a/b one");
    kill(hub);
    sub.wait_for("connecting again");
    let mut gaps = [sub.line(), sub.line()];
    gaps.sort();
    assert_eq!(
        gaps,
        ["a/**", "other"].map(|it| format!("# messages may be missing: {it}"))
    );
    let hub = place.hub();
    sub.wait_for("subscribed");
    place.publish("two");
    assert_eq!(sub.line(), "a/b two");
    // A goodbye is a loss, too.
    hub.signal(Signal::TERM);
    assert_eq!(hub.end().code, 0);
    sub.wait_for("connecting again");
    // It can be stopped while there is no hub.
    sub.signal(Signal::TERM);
    assert_eq!(sub.end().code, 0);
}

#[test]
fn a_count_goes_on_after_a_gap() {
    let place = Place::new();
    let hub = place.hub();
    let args = ["--json", "sub", "--on", &place.address, "a/b", "-n", "2"];
    let mut sub = Ump::start_until(&args, "subscribed");
    place.publish("one");
    assert!(sub.line().contains("one"));
    kill(hub);
    assert_eq!(sub.line(), r#"{"gap":0,"pattern":"a/b"}"#);
    let _hub = place.hub();
    sub.wait_for("subscribed");
    place.publish("two");
    let ran = sub.end();
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_server_claims_its_topic_again() {
    let place = Place::new();
    let hub = place.hub();
    let command = "read text; test \"$text\" != slow || sleep 1000; echo $text";
    let args = ["reply", "--on", &place.address, "echo/a", "--exec", command];
    let mut reply = Ump::start_until(&args, "serves");
    let slow = ["req", "--on", &place.address, "echo/a", "--text", "slow"];
    let slow = Ump::start(&slow);
    assert_eq!(reply.line(), "echo/a slow");
    kill(hub);
    assert_eq!(slow.end().code, 4);
    reply.wait_for("connecting again");
    let _hub = place.hub();
    reply.wait_for("serves");
    // The numbers of requests begin anew.
    assert_eq!(place.request("quick"), "quick\n");
    assert_eq!(place.request("again"), "again\n");
    reply.signal(Signal::TERM);
    assert_eq!(reply.end().code, 0);
}

#[test]
fn a_server_stands_by_if_another_has_its_topic() {
    let hub = Hub::new();
    let args = [
        "reply",
        "--on",
        &hub.unix,
        "double/here",
        "--json-payload",
        "1",
    ];
    let mut reply = Ump::start_until(&args, "serves");
    hub.router.close();
    reply.wait_for("connecting again");
    let next = Router::new();
    next.carry_requests::<Double>().unwrap();
    let server = next.serve::<Double>("here").unwrap();
    let listening = std::iter::repeat_with(|| next.listen(&hub.unix).ok());
    let _listener = listening.flatten().next();
    reply.wait_for("stands by");
    drop(server);
    reply.wait_for("serves");
    assert_eq!(next.request("here", Double(2)).wait().unwrap(), 1);
}

#[test]
fn a_hub_that_does_not_allow_it_ends_the_command() {
    let hub = Hub::new();
    let args = ["sub", "--on", &hub.unix, "price/**"];
    let mut sub = Ump::start_until(&args, "subscribed");
    hub.router.close();
    sub.wait_for("connecting again");
    let next = Router::new();
    let listening = std::iter::repeat_with(|| {
        let options = ListenOptions::new().rules(Rules::deny_by_default());
        next.listen_with(&hub.unix, options).ok()
    });
    let _listener = listening.flatten().next();
    let ran = sub.end();
    assert_eq!(ran.code, 6, "{ran:?}");
}
