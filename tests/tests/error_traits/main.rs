//! Errors, reports and statuses as plain data: cloned, compared, serialized, converted by `?`.
//!
//! [`TABLE`] has every such public type; the compiler checks its traits, and
//! [`no_public_data_type_is_missing`] checks that none is missing.

mod table;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    rc::Rc,
    time::Duration,
};

use serde::Serialize;
use ump::{Executed, NoReply, OsError, Refused, RequestError, SendError, Stats, hooks::Cycle};
use ump_router::{RequestMessage, Router, Topic};

use table::{EXEMPT, SOCKETS, TABLE};

/// A message that is neither `Send` nor `Sync`, cannot be printed and not be cloned.
struct Awkward(#[expect(dead_code, reason = "it is what makes it awkward")] Rc<RefCell<u8>>);

fn awkward() -> Awkward {
    Awkward(Rc::new(RefCell::new(1)))
}

/// A routed request, and every other kind of message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
struct Ask(u8);

impl RequestMessage for Ask {
    type Reply = u8;
    type Error = Refused;
    const PREFIX: &'static str = "ask";
}

// ---- the table

fn in_table() -> BTreeSet<String> {
    let plain = |name: &'static str| name.split('<').next().expect("a name").to_owned();
    let rows = TABLE.iter().chain(SOCKETS);
    rows.map(|row| plain(row())).collect()
}

/// The public types of a crate that are data, by their paths: enums, structs with a public field,
/// and errors.
fn public_data_types(krate: &str) -> BTreeSet<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = workspace.join(krate).join("src");
    let mut found = BTreeSet::new();
    let mut folders = vec![(root, krate.replace('-', "_"))];
    while let Some((folder, module)) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let inner = match name {
                "mod" | "lib" => module.clone(),
                _ => format!("{module}::{name}"),
            };
            if path.is_dir() {
                folders.push((path, inner));
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.extend(data_types(&text).map(|name| format!("{inner}::{name}")));
            }
        }
    }
    found
}

fn data_types(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("\npub ").filter_map(|(at, _)| {
        let item = &text[at + "\npub ".len()..];
        let (kind, rest) = item.split_once(' ')?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        let name = &rest[..end];
        let body = rest.split("\n}").next().unwrap_or_default();
        let head = rest.lines().next().unwrap_or_default();
        let has_public_field = if head.ends_with('{') {
            body.contains("\n    pub ") && !body.contains("\nimpl")
        } else {
            head.contains("(pub ")
        };
        let is_error = || {
            let error_for = format!("Error for {name}");
            let follows = |(at, it): (usize, &str)| text[at + it.len()..].chars().next();
            let mut follow = text.match_indices(&error_for).filter_map(follows);
            follow.any(|next| !next.is_alphanumeric() && next != '_')
        };
        let is_data = match kind {
            "enum" => true,
            "struct" => has_public_field || is_error(),
            _ => false,
        };
        is_data.then_some(name)
    })
}

#[test]
fn no_public_data_type_is_missing() {
    let mut known = in_table();
    known.extend(EXEMPT.iter().map(|(name, _)| (*name).to_owned()));
    let crates = ["ump", "ump-server", "ump-router"];
    let found: BTreeSet<_> = crates.into_iter().flat_map(public_data_types).collect();
    // The search finds types.
    assert!(found.len() > 50, "{found:?}");
    let missing: Vec<_> = found.difference(&known).collect();
    assert!(missing.is_empty(), "add to the table: {missing:?}");
    let gone: Vec<_> = EXEMPT
        .iter()
        .filter(|(name, _)| !found.contains(*name))
        .collect();
    assert!(gone.is_empty(), "exempt, but there is none: {gone:?}");
}

// ---- by `?`

fn request_error<S>(message: S, which: usize) -> RequestError<S, Refused> {
    let cycle = Cycle::new(["orders", "accounts"]);
    let refusal = io::Error::from(io::ErrorKind::OutOfMemory);
    match which {
        0 => RequestError::App(Refused),
        1 => RequestError::NoReply(NoReply::Dropped),
        2 => RequestError::NoReply(NoReply::Panicked("no 7".into())),
        3 => RequestError::ServerDisappeared(message),
        4 => RequestError::TimeoutQueued(message),
        5 => RequestError::TimeoutTaken,
        6 => RequestError::WouldDeadlock(message, cycle),
        7 => RequestError::WouldDeadlockTaken(cycle),
        8 => RequestError::Full(message),
        _ => RequestError::NoTimer(message, refusal.into()),
    }
}

fn send_error<S>(message: S, which: usize) -> SendError<S> {
    let refusal = io::Error::from(io::ErrorKind::OutOfMemory);
    match which {
        0 => SendError::ServerDisappeared(message),
        1 => SendError::TimeoutQueued(message),
        2 => SendError::WouldDeadlock(message, Cycle::new(["orders"])),
        3 => SendError::Full(message),
        _ => SendError::NoTimer(message, refusal.into()),
    }
}

#[test]
fn every_error_goes_through_anyhow_and_eyre() {
    fn by_anyhow(which: usize) -> anyhow::Result<()> {
        Err(request_error(awkward(), which).without_message())?
    }
    fn by_eyre(which: usize) -> eyre::Result<()> {
        Err(request_error(awkward(), which).without_message())?
    }
    fn sent_by_anyhow(which: usize) -> anyhow::Result<()> {
        Err(send_error(awkward(), which).without_message())?
    }
    fn sent_by_eyre(which: usize) -> eyre::Result<()> {
        Err(send_error(awkward(), which).without_message())?
    }
    for which in 0..10 {
        let expected = request_error((), which);
        let error = by_anyhow(which).unwrap_err();
        assert_eq!(error.to_string(), expected.to_string());
        assert_eq!(error.downcast_ref(), Some(&expected));
        let error = by_eyre(which).unwrap_err();
        assert_eq!(error.to_string(), expected.to_string());
        assert_eq!(error.downcast_ref(), Some(&expected));
    }
    for which in 0..5 {
        let expected = send_error((), which);
        let error = sent_by_anyhow(which).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&expected));
        let error = sent_by_eyre(which).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&expected));
    }
}

#[test]
fn a_real_request_goes_through_anyhow_and_eyre() {
    fn ask(client: &ump::Client<Awkward, u8, Refused>) -> anyhow::Result<u8> {
        let terms = client.request(awkward()).timeout(Duration::from_secs(60));
        Ok(terms.wait().map_err(RequestError::without_message)?)
    }
    fn post(client: &ump::Client<Awkward, u8, Refused>) -> eyre::Result<()> {
        let sent = client.post(awkward()).if_room().wait();
        Ok(sent.map_err(SendError::without_message)?)
    }
    let (server, client) = ump::channel();
    drop(server);
    let error = ask(&client).unwrap_err();
    assert_eq!(
        error.downcast_ref(),
        Some(&RequestError::<(), Refused>::ServerDisappeared(()))
    );
    let error = post(&client).unwrap_err();
    assert_eq!(
        error.downcast_ref(),
        Some(&SendError::ServerDisappeared(()))
    );
}

#[test]
fn a_router_s_error_goes_through_anyhow_and_eyre() {
    /// `Send`, as routed requests have to be, but not `Sync`.
    struct Cell(#[expect(dead_code, reason = "not `Sync` for it")] std::cell::Cell<u8>);

    impl RequestMessage for Cell {
        type Reply = u8;
        type Error = Refused;
        const PREFIX: &'static str = "cell";
    }

    fn ask(router: &Router) -> anyhow::Result<u8> {
        let asked = router.request("1", Cell(1.into())).wait();
        Ok(asked.map_err(ump_router::RequestError::without_message)?)
    }
    fn ask_in_vain(router: &Router) -> eyre::Result<u8> {
        let asked = router.request("a//b", Cell(1.into())).wait();
        Ok(asked.map_err(ump_router::RequestError::without_message)?)
    }
    let router = Router::new();
    let error = ask(&router).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the topic has no server: serve it first, or let the request wait for a server"
    );
    let error = ask_in_vain(&router).unwrap_err();
    let kind = error.downcast::<ump_router::RequestErrorKind<Refused>>();
    let Ok(ump_router::RequestErrorKind::NotMade(ump_router::Error::Topic(_))) = kind else {
        panic!("{kind:?}")
    };

    let asked = router.request("1", Ask(7)).wait();
    let error = asked.unwrap_err();
    assert_eq!(error, error.clone());
    let (message, kind) = error.split();
    assert_eq!(message, Some(Ask(7)));
    assert_eq!(kind.executed(), Executed::No);
}

// ---- the message apart from the error

#[test]
fn splitting_keeps_the_message_and_the_reason() {
    for which in 0..10 {
        let error = request_error(7, which);
        let (text, executed) = (error.to_string(), error.executed());
        let (message, rest) = error.clone().split();
        assert_eq!(message, error.clone().into_message());
        assert_eq!(message.is_some(), executed == Executed::No);
        assert_eq!((rest.to_string(), rest.executed()), (text, executed));
        assert_eq!(rest, error.without_message());
    }
    for which in 0..5 {
        let error = send_error(7, which);
        let (message, rest) = error.clone().split();
        assert_eq!(message, 7);
        assert_eq!(rest.to_string(), error.to_string());
        assert_eq!(rest, error.without_message());
    }
}

#[test]
fn a_message_that_is_split_off_is_dropped_once() {
    let message = Rc::new(());
    for which in 0..10 {
        let error = request_error(Rc::clone(&message), which);
        drop(error.without_message());
        assert_eq!(Rc::strong_count(&message), 1);
        let (kept, _) = request_error(Rc::clone(&message), which).split();
        assert_eq!(Rc::strong_count(&message), 1 + usize::from(kept.is_some()));
    }
}

#[test]
fn os_errors_are_equal_by_code_or_by_text() {
    let code = |code| OsError::from(io::Error::from_raw_os_error(code));
    let other = |text: &str| OsError::from(io::Error::other(text.to_owned()));
    assert_eq!(code(11), code(11));
    assert_ne!(code(11), code(12));
    assert_eq!(other("a"), other("a"));
    assert_ne!(other("a"), other("b"));
    assert_ne!(other("a"), code(11));
    let shared = code(12);
    let kept = shared.clone();
    assert_eq!(OsError::from(shared.into_inner()), kept);
}

// ---- serialized

#[test]
fn errors_are_read_back_as_they_were() {
    for which in 0..9 {
        let error = request_error(7_u8, which);
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(
            serde_json::from_str::<RequestError<u8, Refused>>(&text).unwrap(),
            error,
            "{text}"
        );
    }
    for which in 0..4 {
        let error = send_error(7_u8, which);
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<SendError<u8>>(&text).unwrap(), error);
    }
    let refused = OsError::from(io::Error::from_raw_os_error(11));
    let text = serde_json::to_string(&refused).unwrap();
    assert_eq!(serde_json::from_str::<OsError>(&text).unwrap(), refused);
}

#[test]
fn serialized_names_are_in_snake_case() {
    let named: BTreeMap<_, _> = (3..9)
        .map(|which| {
            let error = serde_json::to_value(request_error((), which)).unwrap();
            (which, error.to_string())
        })
        .collect();
    assert_eq!(named[&3], r#"{"server_disappeared":null}"#);
    assert_eq!(named[&5], r#""timeout_taken""#);
    assert_eq!(
        named[&7],
        r#"{"would_deadlock_taken":["orders","accounts"]}"#
    );
    assert_eq!(
        serde_json::to_string(&Executed::Perhaps).unwrap(),
        r#""perhaps""#
    );
}

#[test]
fn older_stats_are_read_with_zeros() {
    let read: Stats = serde_json::from_str(r#"{"accepted": 3}"#).unwrap();
    assert_eq!((read.accepted, read.replied, read.refused), (3, 0, 0));
}

#[test]
fn a_text_that_is_no_topic_is_not_read() {
    let topic: Topic = serde_json::from_str(r#""a/b""#).unwrap();
    assert_eq!(serde_json::to_string(&topic).unwrap(), r#""a/b""#);
    let error = serde_json::from_str::<Topic>(r#""a//b""#).unwrap_err();
    assert!(error.to_string().contains("empty fragment"), "{error}");
}
