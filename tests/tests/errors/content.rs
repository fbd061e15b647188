//! The contents of errors: the message, the application's error, the cycle.

use super::*;

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
fn only_app_contains_an_application_error() {
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
fn both_timeouts_are_timeouts() {
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
