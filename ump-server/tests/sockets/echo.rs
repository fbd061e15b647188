//! The first thing that runs: lines come back, with requests and timers in the same loop.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    time::Duration,
};

use crate::support::{Echo, Loop, eventually};

#[test]
fn lines_come_back_between_requests_and_timers() {
    let host = Loop::spawn(|cx| {
        cx.timers().every(Duration::from_millis(1), 0);
        Echo::new(cx)
    });
    let mut stream = host.connect();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for n in 0..200 {
        writeln!(stream, "line {n}").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), format!("line {n}"));
        assert_eq!(host.with(|echo| echo.accepted), 1);
    }
    eventually(&host, "a timer", |echo| echo.timers > 0);
    host.end();
}

#[test]
fn a_loop_sleeps_and_wakes_for_each_kind_of_event() {
    let host = Loop::spawn(Echo::new);
    let mut stream = host.connect();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for n in 0..5 {
        std::thread::sleep(Duration::from_millis(20)); // so that it sleeps
        writeln!(stream, "{n}").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), n.to_string());
        std::thread::sleep(Duration::from_millis(20));
        host.with(|_| ());
    }
    host.end();
}
