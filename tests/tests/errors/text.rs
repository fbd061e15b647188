//! The texts of errors, for users and for debugging.

use super::*;

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
