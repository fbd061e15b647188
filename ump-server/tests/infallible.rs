//! Servers that cannot fail: neither side has to name an application error.

#![cfg(feature = "tokio")]

use std::convert::Infallible;

use ump_server::{
    Client, Error, OnPanic, Restart, SpawnError,
    system::{Attributes, ComponentContext, System},
    task, thread,
    ump::RequestError,
};

/// Matches without an arm for `App` and without a wildcard. It would not compile if `App` could
/// occur.
fn name(error: Error<Infallible>) -> &'static str {
    match error {
        Error::NoReply => "no reply",
        Error::ServerDisappeared => "server disappeared",
        Error::ClientsDisappeared => "clients disappeared",
        Error::OriginDisappeared => "origin disappeared",
    }
}

fn is_full<S>(error: RequestError<S, Infallible>) -> bool {
    match error {
        RequestError::Full(_) => true,
        error => error.into_apperr().is_some(),
    }
}

fn ask(client: &Client<u32, u32, Infallible>) -> Result<u32, &'static str> {
    client.req(1).map_err(name)
}

#[test]
fn a_thread_replies_with_a_plain_value() {
    let (client, handle) = thread::spawn(|_| Ok(thread::reply(|n: u32| 7 / (2 - n)))).unwrap();
    assert_eq!(ask(&client), Ok(7));
    assert_eq!(client.req(2).map_err(name), Err("no reply"));
    handle.join().unwrap_err();
    assert_eq!(ask(&client), Err("server disappeared"));
    assert!(!is_full(client.request(1).wait().unwrap_err()));
}

#[tokio::test]
async fn a_task_replies_with_a_plain_value() {
    let (client, handle) = task::spawn(|_| Ok(task::reply(async |n: u32| n + 1))).unwrap();
    assert_eq!(client.areq(1).await, Ok(2));
    drop(client);
    handle.await.unwrap();
}

/// The error of the application is no `Error`, and yet the failure to spawn can be passed on.
#[tokio::test]
async fn a_builder_that_serves_has_no_error_of_the_application() {
    fn build(capacity: usize) -> Result<(), Box<dyn std::error::Error>> {
        let answer = thread::answer(|n: u32| Err::<u32, _>([n]));
        let threads = thread::Builder::new().capacity(capacity);
        let (client, _) = threads.serve(answer)?;
        assert_eq!(client.req(1), Err(Error::App([1])));
        Ok(())
    }

    build(1).unwrap();
    assert!(build(0).unwrap_err().to_string().contains("capacity"));
    let restart = OnPanic::Restart(Restart::new());
    let threads = thread::Builder::new().on_panic(restart.clone());
    let error = threads.serve(thread::reply(|n: u32| n)).unwrap_err();
    assert_eq!(error, SpawnError::NoFactory);
    let tasks = task::Builder::new().on_panic(restart);
    let error = tasks.serve(task::reply(async |n: u32| n)).unwrap_err();
    assert_eq!(error, SpawnError::NoFactory);
}

#[test]
fn a_component_replies_with_a_plain_value() {
    let system = System::builder()
        .thread(
            "next",
            Attributes::new(),
            |_: &ComponentContext<u32, u32, Infallible>| Ok(thread::reply(|n| n + 1)),
        )
        .start(std::time::Duration::from_secs(60))
        .wait()
        .unwrap();
    let next = system.client::<u32, u32, Infallible>("next").unwrap();
    assert_eq!(ask(&next), Ok(2));
}
