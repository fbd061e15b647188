//! A handler sees the location of its request, for all kinds of requests, and the time when the
//! request entered, if that is recorded.

use std::{
    future::IntoFuture,
    panic::Location,
    pin::{Pin, pin},
    thread,
    time::Duration,
};

use tests::{block_on, poll_once};
use ump::{Builder, Client, ManualClock, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);

/// The source line of the next request.
fn seen(server: &Server<u32, u32, ()>) -> u32 {
    let (_, rctx) = server.try_pop().unwrap().expect("a request is queued");
    assert_eq!(rctx.caller().file(), file!());
    rctx.caller().line()
}

#[test]
fn submits_and_posts_report_where_they_began() {
    let (server, client): Ends = ump::channel();
    let line = line!();
    let _reply = client.req_async(1);
    assert_eq!(seen(&server), line + 1);
    let line = line!();
    let request = client.request(1);
    let _reply = request.urgent().submit().wait();
    assert_eq!(seen(&server), line + 1);
    let line = line!();
    client.post(1).if_room().wait().unwrap();
    assert_eq!(seen(&server), line + 1);
}

#[test]
fn an_awaited_request_reports_its_call_site() {
    let (server, client): Ends = ump::channel();
    let line = line!();
    let mut asked = pin!(client.areq(1));
    assert!(poll_once(&mut asked).is_pending());
    assert_eq!(seen(&server), line + 1);
    let line = line!();
    let mut request = client.request(1).into_future();
    assert!(poll_once(&mut Pin::new(&mut request)).is_pending());
    assert_eq!(seen(&server), line + 1);
    let line = line!();
    block_on(client.post(1).into_future()).unwrap();
    assert_eq!(seen(&server), line + 1);
}

#[test]
fn a_direct_handoff_reports_the_call_site() {
    let (server, client): Ends = ump::channel();
    let server = thread::spawn(move || {
        for (_, rctx) in &server {
            let line = rctx.caller().line();
            rctx.reply(line).unwrap();
        }
    });
    let line = line!();
    for _ in 0..100 {
        assert_eq!(client.req(1), Ok(line + 2));
        assert_eq!(client.request(1).wait().unwrap(), line + 3);
        assert_eq!(block_on(client.areq(1)), Ok(line + 4));
    }
    drop(client);
    server.join().unwrap();
}

#[track_caller]
fn ask(client: &Client<u32, u32, ()>) -> Location<'static> {
    client.post(1).wait().unwrap();
    *Location::caller()
}

#[test]
fn a_function_that_tracks_its_caller_passes_it_on() {
    let (server, client): Ends = ump::channel();
    let asked = ask(&client);
    let (_, rctx) = server.try_pop().unwrap().unwrap();
    assert_eq!(*rctx.caller(), asked);
}

#[test]
fn a_layer_passes_on_the_location_of_its_caller() {
    let (server, client): Ends = ump::channel();
    let caller = Location::caller();
    client
        .request(1)
        .on_behalf_of(caller)
        .post()
        .wait()
        .unwrap();
    let (_, rctx) = server.try_pop().unwrap().unwrap();
    assert_eq!(rctx.caller(), caller);
    // The slot is reused, but its caller information is not.
    drop(rctx);
    let line = line!();
    client.post(1).wait().unwrap();
    assert_eq!(seen(&server), line + 1);
}

#[test]
fn deprecated_names_report_the_call_site() {
    #![allow(deprecated)]
    let (server, client): Ends = ump::channel();
    let line = line!();
    let mut asked = pin!(client.asend(1));
    assert!(poll_once(&mut asked).is_pending());
    assert_eq!(seen(&server), line + 1);
}

#[test]
fn a_handler_sees_the_entry_time_if_recorded() {
    const HOUR: Duration = Duration::from_secs(3600);
    let time = ManualClock::new();
    let builder = Builder::new().capacity(1).clock(time.clock());
    let (server, client) = builder.entry_times(true).build::<u32, u32, ()>().unwrap();
    let mut first = client.areq(1);
    let mut second = client.areq(2);
    let [mut first, mut second] = [Box::pin(&mut first), Box::pin(&mut second)];
    let begun = time.now();
    time.advance(HOUR);
    assert!(poll_once(&mut first).is_pending());
    assert!(poll_once(&mut second).is_pending()); // there is no room
    time.advance(HOUR);
    let (_, rctx) = server.try_pop().unwrap().unwrap();
    assert_eq!(rctx.entered(), Some(begun + HOUR));
    assert!(poll_once(&mut second).is_pending());
    let (_, rctx) = server.try_pop().unwrap().unwrap();
    assert_eq!(rctx.entered(), Some(begun + 2 * HOUR));
    client.post(3).wait().unwrap();
    let (_, rctx) = server.try_pop().unwrap().unwrap();
    assert_eq!(rctx.entered(), Some(begun + 2 * HOUR));
}

#[test]
fn a_channel_without_entry_times_reports_none() {
    let (server, client): Ends = ump::channel();
    client.post(1).wait().unwrap();
    let (_, rctx) = server.try_pop().unwrap().unwrap();
    assert_eq!(rctx.entered(), None);
}
