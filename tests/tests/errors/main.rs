//! The texts and traits of errors, and the messages that they return.

mod traits;

use std::{
    cell::Cell,
    collections::HashSet,
    error::Error as StdError,
    fmt, io,
    marker::PhantomPinned,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use tests::{block_on, poll_once};
use ump::{
    Builder, Cancelled, Client, Clock, Error, Executed, Gather, Iter, ManualClock, NoReply,
    PanicMessage, Post, PostFuture, Refused, ReplyContext, Request, RequestError, RequestFuture,
    Requests, SendError, Server, Sleep, Stats, Submit, SubmitFuture, WaitReply, WeakClient,
    ZeroCapacity,
    hooks::{Cycle, Wait},
};

/// An application's error with a cause.
#[derive(Debug)]
struct Broken(io::Error);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lamp is broken")
    }
}

impl StdError for Broken {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

fn broken() -> Broken {
    Broken(io::Error::other("no current"))
}

/// A message without `Debug` and `Display`.
struct Silent;

fn plain() -> [Error<Broken>; 5] {
    [
        Error::ServerDisappeared,
        Error::OriginDisappeared,
        Error::ClientsDisappeared,
        Error::NoReply,
        Error::App(broken()),
    ]
}

fn cycle() -> Cycle {
    Cycle::new(["orders", "accounts"])
}

fn request() -> [RequestError<Silent, Broken>; 10] {
    [
        RequestError::App(broken()),
        RequestError::NoReply(NoReply::Dropped),
        RequestError::NoReply(NoReply::Panicked(PanicMessage::default())),
        RequestError::ServerDisappeared(Silent),
        RequestError::TimeoutQueued(Silent),
        RequestError::TimeoutTaken,
        RequestError::WouldDeadlock(Silent, cycle()),
        RequestError::WouldDeadlockTaken(cycle()),
        RequestError::Full(Silent),
        RequestError::NoTimer(Silent, io::Error::other("no threads").into()),
    ]
}

fn send() -> [SendError<Silent>; 5] {
    [
        SendError::ServerDisappeared(Silent),
        SendError::TimeoutQueued(Silent),
        SendError::WouldDeadlock(Silent, cycle()),
        SendError::Full(Silent),
        SendError::NoTimer(Silent, io::Error::other("no threads").into()),
    ]
}

// ---- the texts

#[track_caller]
fn assert_in_style(text: &str) {
    assert!(
        text.chars().next().is_some_and(char::is_lowercase),
        "{text}"
    );
    assert!(!text.ends_with(['.', '!', ' ', ':']), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn texts_are_lowercase_without_a_full_stop() {
    for error in plain() {
        assert_in_style(&error.to_string());
    }
    for error in request() {
        assert_in_style(&error.to_string());
    }
    for error in send() {
        assert_in_style(&error.to_string());
    }
    assert_in_style(&NoReply::Dropped.to_string());
    assert_in_style(&NoReply::Panicked(PanicMessage::default()).to_string());
    assert_in_style(&Refused.to_string());
    assert_in_style(&ZeroCapacity.to_string());
}

#[test]
fn no_two_outcomes_have_the_same_text() {
    let texts: HashSet<_> = plain().iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), plain().len());
    let texts: HashSet<_> = request().iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), request().len());
    let texts: HashSet<_> = send().iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), send().len());
}

#[test]
fn the_application_s_error_is_part_of_the_text_once() {
    let once = |error: &dyn StdError| {
        let mut chain = vec![error.to_string()];
        let mut source = error.source();
        while let Some(error) = source {
            chain.push(error.to_string());
            source = error.source();
        }
        let chain = chain.join(" / ");
        assert_eq!(chain.matches("the lamp is broken").count(), 1, "{chain}");
        assert_eq!(chain.matches("no current").count(), 1, "{chain}");
    };
    once(&Error::App(broken()));
    once(&RequestError::<Silent, _>::App(broken()));
}

#[test]
fn only_those_with_a_cause_have_a_source() {
    for error in plain() {
        let is_app = matches!(error, Error::App(_));
        assert_eq!(error.source().is_some(), is_app, "{error}");
    }
    for error in request() {
        let is_app = matches!(error, RequestError::App(_));
        assert_eq!(error.source().is_some(), is_app, "{error}");
    }
    // If the system's error has a source, that is the source.
    let refusal = || io::Error::other(broken());
    let error = RequestError::<Silent, Broken>::NoTimer(Silent, refusal().into());
    assert!(error.to_string().contains("the lamp is broken"));
    assert_eq!(error.source().unwrap().to_string(), "no current");
    let error = SendError::NoTimer(Silent, refusal().into());
    assert!(error.to_string().contains("the lamp is broken"));
    assert_eq!(error.source().unwrap().to_string(), "no current");
}

#[test]
fn a_display_only_error_is_enough_to_print() {
    let error = Error::App("no oil");
    assert!(error.to_string().ends_with("no oil"));
    let error = RequestError::<Silent, _>::App("no oil");
    assert!(error.to_string().ends_with("no oil"));
}

#[test]
fn a_text_shows_whether_the_handler_panicked() {
    let error = |why| RequestError::<Silent, Broken>::NoReply(why).to_string();
    assert!(error(NoReply::Panicked(PanicMessage::default())).contains("panicked"));
    assert!(!error(NoReply::Dropped).contains("panicked"));
    assert!(error(NoReply::Dropped).contains("dropped"));
}

// ---- in programs

#[test]
fn errors_go_into_boxes() {
    fn plain(client: &Client<u32, (), Broken>) -> Result<(), Box<dyn StdError>> {
        client.req(1)?;
        Ok(())
    }
    fn request(client: &Client<u32, (), Broken>) -> Result<(), Box<dyn StdError + Send + Sync>> {
        client.request(1).wait()?;
        Ok(())
    }
    async fn awaited(
        client: &Client<u32, (), Broken>,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        client.request(1).submit().await?.await?;
        Ok(())
    }
    fn post(client: &Client<u32, (), Broken>) -> Result<(), Box<dyn StdError + Send + Sync>> {
        client.post(1).wait()?;
        Ok(())
    }
    fn bounded() -> Result<(), Box<dyn StdError>> {
        let (_server, _client) = ump::bounded::<(), (), ()>(0)?;
        Ok(())
    }
    let (server, client) = ump::channel();
    drop(server);
    assert!(plain(&client).unwrap_err().is::<Error<Broken>>());
    assert!(
        request(&client)
            .unwrap_err()
            .is::<RequestError<u32, Broken>>()
    );
    assert!(
        block_on(awaited(&client))
            .unwrap_err()
            .is::<SendError<u32>>()
    );
    assert!(post(&client).unwrap_err().is::<SendError<u32>>());
    assert!(bounded().unwrap_err().is::<ZeroCapacity>());
}

#[test]
fn errors_without_a_reason_can_be_made_printable() {
    fn plain(client: &Client<u32, (), ()>) -> Result<(), Error<Refused>> {
        client.req(1)?;
        Ok(())
    }
    fn request(client: &Client<u32, (), ()>) -> Result<(), RequestError<u32, Refused>> {
        client.request(1).wait()?;
        Ok(())
    }
    fn boxed(client: &Client<u32, (), ()>) -> Result<(), Box<dyn StdError>> {
        client.req(1).map_err(Error::<Refused>::from)?;
        client
            .request(2)
            .wait()
            .map_err(RequestError::<_, Refused>::from)?;
        Ok(())
    }
    let (server, client) = ump::channel::<u32, (), ()>();
    thread::scope(|scope| {
        let server = server;
        let refuse = scope.spawn(move || {
            for (n, rctx) in &server {
                if n == 1 {
                    rctx.fail(()).unwrap();
                }
            }
        });
        assert_eq!(plain(&client), Err(Error::App(Refused)));
        assert!(matches!(request(&client), Err(RequestError::App(Refused))));
        assert!(
            boxed(&client)
                .unwrap_err()
                .to_string()
                .contains(&Refused.to_string())
        );
        drop(client);
        refuse.join().unwrap();
    });
}

#[test]
fn the_conversion_changes_only_the_apps_error() {
    type Unit = RequestError<u8, ()>;
    let from = |error: Error<()>| Error::<Refused>::from(error);
    assert_eq!(from(Error::ServerDisappeared), Error::ServerDisappeared);
    assert_eq!(from(Error::OriginDisappeared), Error::OriginDisappeared);
    assert_eq!(from(Error::ClientsDisappeared), Error::ClientsDisappeared);
    assert_eq!(from(Error::NoReply), Error::NoReply);
    assert_eq!(from(Error::App(())), Error::App(Refused));

    let from = |error: Unit| RequestError::<u8, Refused>::from(error);
    assert!(matches!(from(Unit::App(())), RequestError::App(Refused)));
    for why in [NoReply::Dropped, NoReply::Panicked(PanicMessage::default())] {
        assert!(
            matches!(from(Unit::NoReply(why.clone())), RequestError::NoReply(same) if same == why)
        );
    }
    assert!(matches!(
        from(Unit::ServerDisappeared(1)),
        RequestError::ServerDisappeared(1)
    ));
    assert!(matches!(
        from(Unit::TimeoutQueued(2)),
        RequestError::TimeoutQueued(2)
    ));
    assert!(matches!(
        from(Unit::TimeoutTaken),
        RequestError::TimeoutTaken
    ));
    assert!(matches!(
        from(Unit::WouldDeadlock(5, cycle())),
        RequestError::WouldDeadlock(5, same) if same == cycle()
    ));
    assert!(matches!(
        from(Unit::WouldDeadlockTaken(cycle())),
        RequestError::WouldDeadlockTaken(same) if same == cycle()
    ));
    assert!(matches!(from(Unit::Full(3)), RequestError::Full(3)));
    let refusal = io::Error::from(io::ErrorKind::OutOfMemory);
    assert!(matches!(
        from(Unit::NoTimer(4, refusal.into())),
        RequestError::NoTimer(4, same) if same.kind() == io::ErrorKind::OutOfMemory
    ));
}

#[test]
fn unaccepted_requests_have_the_same_error() {
    type Asked = RequestError<u32, ()>;
    fn ask(client: &Client<u32, (), ()>) -> Result<(), Asked> {
        client.request(7).if_room().submit().wait()?.wait()
    }
    let (server, client) = ump::bounded::<u32, (), ()>(1).unwrap();
    client.post(0).wait().unwrap();
    assert!(matches!(ask(&client), Err(RequestError::Full(7))));
    drop(server);
    assert!(matches!(
        ask(&client),
        Err(RequestError::ServerDisappeared(7))
    ));

    assert!(matches!(
        Asked::from(SendError::TimeoutQueued(1)),
        Asked::TimeoutQueued(1)
    ));
    let refusal = io::Error::from(io::ErrorKind::OutOfMemory);
    assert!(matches!(
        Asked::from(SendError::NoTimer(2, refusal.into())),
        Asked::NoTimer(2, same) if same.kind() == io::ErrorKind::OutOfMemory
    ));
}

// ---- the returned messages

#[test]
fn each_error_shows_whether_it_was_executed() {
    use Executed::{No, Perhaps, Yes};
    let executed = plain().map(|error| error.executed());
    assert_eq!(executed, [No, Yes, No, Perhaps, Yes]);
    let executed = request().map(|error| error.executed());
    assert_eq!(
        executed,
        [Yes, Perhaps, Perhaps, No, No, Perhaps, No, Perhaps, No, No]
    );
    let executed = send().map(|error| error.executed());
    assert_eq!(executed, [No; 5]);
    assert_eq!(
        [No, Perhaps, Yes].map(|it| it.to_string()),
        ["no", "perhaps", "yes"]
    );
}

/// A request that was certainly not executed can be retried, so its message must be returned.
#[test]
fn a_message_comes_back_whenever_it_was_not_executed() {
    for error in request() {
        let not_executed = error.executed() == Executed::No;
        assert_eq!(error.into_message().is_some(), not_executed);
    }
    for error in send() {
        let Silent = error.into_message();
    }
    assert_eq!(RequestError::<_, ()>::Full(5).into_message(), Some(5));
    assert_eq!(SendError::ServerDisappeared(5).into_message(), 5);
}

#[test]
fn only_the_application_s_error_is_one() {
    for error in plain() {
        let is_app = matches!(error, Error::App(_));
        assert_eq!(error.into_apperr().is_some(), is_app);
    }
    for error in request() {
        let is_app = matches!(error, RequestError::App(_));
        assert_eq!(error.into_apperr().is_some(), is_app);
    }
    assert_eq!(Error::App(5).into_apperr(), Some(5));
    assert_eq!(Error::App(5).unwrap_apperr(), 5);
    assert_eq!(RequestError::<(), _>::App(5).into_apperr(), Some(5));
}

#[test]
fn unwrapping_another_error_panics_and_names_it() {
    let others = [
        (Error::ServerDisappeared, "ServerDisappeared"),
        (Error::OriginDisappeared, "OriginDisappeared"),
        (Error::ClientsDisappeared, "ClientsDisappeared"),
        (Error::NoReply, "NoReply"),
    ];
    for (error, name) in others {
        // The application's error needs no trait, not even `Debug`.
        let panic = thread::spawn(move || error.map_app(|()| Silent).unwrap_apperr()).join();
        let panic = panic.err().expect("it panics");
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        assert!(text.is_some_and(|text| text.contains(name)));
    }
}

#[test]
fn the_application_s_error_can_be_exchanged() {
    assert_eq!(Error::App(5).map_app(|n| n + 1), Error::App(6));
    let never = |()| -> u8 { unreachable!("there is none") };
    assert_eq!(
        Error::ServerDisappeared.map_app(never),
        Error::ServerDisappeared
    );
    assert_eq!(
        Error::OriginDisappeared.map_app(never),
        Error::OriginDisappeared
    );
    assert_eq!(
        Error::ClientsDisappeared.map_app(never),
        Error::ClientsDisappeared
    );
    assert_eq!(Error::NoReply.map_app(never), Error::NoReply);
}

#[test]
fn a_timeout_is_one_wherever_it_happened() {
    let timeouts: Vec<_> = request()
        .into_iter()
        .filter(RequestError::is_timeout)
        .collect();
    assert!(matches!(
        timeouts[..],
        [RequestError::TimeoutQueued(_), RequestError::TimeoutTaken]
    ));
}

#[test]
fn a_cycle_is_reported_wherever_it_was_found() {
    let cycles = request().map(|error| error.cycle().cloned());
    let cycles: Vec<_> = cycles.into_iter().flatten().collect();
    assert_eq!(cycles, [cycle(), cycle()]);
    assert_eq!(cycle().to_string(), "orders → accounts → orders");
    assert_eq!(cycle().names(), ["orders".into(), "accounts".into()]);
}

// ---- Debug

#[test]
fn nothing_of_the_message_is_needed_for_debugging() {
    let names = request().map(|error| format!("{error:?}"));
    assert!(names[0].starts_with("App(Broken("));
    assert_eq!(
        names[1..9],
        [
            "NoReply(Dropped)",
            "NoReply(Panicked(PanicMessage(None)))",
            "ServerDisappeared(..)",
            "TimeoutQueued(..)",
            "TimeoutTaken",
            "WouldDeadlock(.., orders → accounts → orders)",
            "WouldDeadlockTaken(orders → accounts → orders)",
            "Full(..)",
        ]
    );
    assert!(names[9].starts_with("NoTimer("));
    let names = send().map(|error| format!("{error:?}"));
    assert_eq!(
        names[..4],
        [
            "ServerDisappeared(..)",
            "TimeoutQueued(..)",
            "WouldDeadlock(.., orders → accounts → orders)",
            "Full(..)"
        ]
    );
    assert!(names[4].starts_with("NoTimer("));
}

#[test]
fn every_type_can_be_shown_whatever_it_carries() {
    let (mut server, client) = ump::bounded::<Silent, Silent, Silent>(9).unwrap();
    let show = |thing: &dyn fmt::Debug, name: &str| {
        let text = format!("{thing:?}");
        assert!(text.starts_with(name), "{text}");
        assert!(!format!("{thing:#?}").is_empty());
    };
    show(&client, "Client");
    show(&client.weak(), "WeakClient");
    show(&server, "Server");
    show(&server.iter(), "Iter");
    show(&server.stream(), "Requests");
    show(
        &client.request(Silent).timeout(Duration::MAX).urgent(),
        "Request",
    );
    show(&client.request(Silent).submit(), "Submit");
    show(&client.post(Silent), "Post");
    show(&client.request(Silent).into_future(), "RequestFuture");
    show(
        &client.request(Silent).submit().into_future(),
        "SubmitFuture",
    );
    show(&client.post(Silent).into_future(), "PostFuture");
    let reply = client.request(Silent).submit().wait().ok().unwrap();
    show(&reply, "WaitReply");
    let (_, mut rctx) = server.try_pop().ok().flatten().unwrap();
    show(&rctx, "ReplyContext");
    show(&rctx.cancelled(), "Cancelled");
    show(&Gather::<u8, Silent, Silent>::new(), "Gather");
    show(&client.stats(), "Stats");
    show(&ZeroCapacity, "ZeroCapacity");
    show(client.clock(), "Clock");
    show(&ManualClock::new(), "ManualClock");
    show(&Clock::system().sleep_until(Instant::now()), "Sleep");
    show(&client.id(), "ChannelId");
    show(&cycle(), "Cycle");
    // Formatting does not consume the server, and streaming does not move it.
    let _ = std::pin::Pin::new(&mut server);
}
