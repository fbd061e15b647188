//! Which records are written, and what is in them.

mod common;

use std::{thread, time::Duration};

use common::{LONG, Shared, logged, start};
use serde_json::{Value, json};
use tracing::{Level, debug, dispatcher::with_default, error, info, info_span, trace, warn};
use ump_log::{Builder, FilterError, Format, Sink};

fn json_lines(out: &Shared) -> Vec<Value> {
    let parse = |line: &String| serde_json::from_str(line).expect("JSON");
    out.lines().iter().map(parse).collect()
}

fn json_log(out: &Shared) -> Builder {
    Builder::new()
        .filter("trace")
        .sink(Sink::writer(out.clone(), Format::Json))
}

#[test]
fn a_record_has_its_fields_and_spans() {
    let out = Shared::default();
    logged(json_log(&out), |_| {
        let outer = info_span!("outer", id = 7, user = tracing::field::Empty);
        let _outer = outer.clone().entered();
        outer.record("user", "ann");
        outer.record("user", "bob");
        let _inner = info_span!("inner").entered();
        let error = std::io::Error::other("no");
        let error = &error as &dyn std::error::Error;
        warn!(target: "shop", a = -1, b = 2.5, c = true, d = ?Some(1), e = %"x y", f = u64::MAX, g = f64::NAN, error, "sold {}", 3);
    });
    let mut line = json_lines(&out).remove(0);
    let time = line
        .as_object_mut()
        .unwrap()
        .remove("time")
        .expect("a time");
    humantime::parse_rfc3339(time.as_str().unwrap()).expect("a time");
    let expected = json!({
        "level": "WARN", "target": "shop", "message": "sold 3",
        "fields": {"a": -1, "b": 2.5, "c": true, "d": "Some(1)", "e": "x y", "f": u64::MAX, "g": "NaN", "error": "no"},
        "spans": [{"name": "outer", "id": 7, "user": "bob"}, {"name": "inner"}],
    });
    assert_eq!(line, expected);
}

#[test]
fn fields_cannot_begin_a_line_or_control_a_terminal() {
    let (text, json) = (Shared::default(), Shared::default());
    let builder = json_log(&json).sink(Sink::writer(text.clone(), Format::Text));
    let evil = "x\n2026-01-01T00:00:00.000000Z ERROR root: forged\r\u{1b}[2J\u{85}\u{2028}\u{202e}";
    logged(builder, |_| {
        let _span = info_span!("span", evil).entered();
        info!(evil, debug = %evil, "message {evil}");
    });
    assert_eq!((text.lines().len(), json.lines().len()), (1, 1));
    assert!(
        !text
            .text()
            .trim_end()
            .contains(|letter: char| letter.is_control() || letter == '\u{202e}')
    );
    let line = &json_lines(&json)[0];
    assert_eq!(line["fields"]["evil"], evil);
    assert_eq!(line["message"], format!("message {evil}"));
}

#[test]
fn a_record_of_a_megabyte_is_whole() {
    let out = Shared::default();
    let large = "ab\n".repeat(400_000);
    logged(json_log(&out), |_| {
        info!("before");
        info!(large, "large");
        info!("after");
    });
    let lines = json_lines(&out);
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["fields"]["large"], large);
}

#[test]
fn a_longer_record_is_cut_and_says_so() {
    let out = Shared::default();
    logged(json_log(&out).longest_record(1000), |_| {
        let _span = info_span!("span", x = "y".repeat(500)).entered();
        info!(large = "a".repeat(600), "large");
        info!(large = %"a".repeat(2000), "larger");
    });
    let lines = json_lines(&out);
    let cut = |n: usize| {
        lines[n]["spans"][0]["ump_log.cut_bytes"]
            .as_u64()
            .expect("a number")
    };
    assert!(cut(0) > 500, "the span has no room: {}", lines[0]);
    assert!(cut(1) > 1500, "{}", lines[1]);
}

#[test]
fn the_filter_changes_while_it_runs() {
    let out = Shared::default();
    logged(json_log(&out).filter("info"), |log| {
        let work = |n: u32| {
            trace!(target: "a", n);
            debug!(target: "b", n);
            info!(target: "c", n);
        };
        work(1);
        log.set_filter("off,a=trace").expect("a filter");
        assert_eq!(log.filter(), "off,a=trace");
        work(2);
        let error = log.set_filter("a=nonsense").expect_err("no level");
        assert!(matches!(error, FilterError::Syntax(_)), "{error}");
        assert_eq!(log.filter(), "off,a=trace");
        work(3);
        log.set_filter("debug").expect("a filter");
        work(4);
    });
    let seen: Vec<_> = json_lines(&out)
        .iter()
        .map(|line| {
            (
                line["target"].as_str().unwrap().to_owned(),
                line["fields"]["n"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [("c", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 4)];
    assert_eq!(seen, expected.map(|(target, n)| (target.to_owned(), n)));
}

#[test]
fn a_filter_without_its_layer_is_an_error() {
    let (dispatch, guard) = start(Builder::new());
    drop(dispatch);
    assert_eq!(guard.set_filter("warn"), Err(FilterError::Ended));
    assert_eq!(guard.filter(), "info");
}

#[test]
fn a_sink_has_a_level_of_its_own() {
    let (all, some) = (Shared::default(), Shared::default());
    let builder = json_log(&all).sink(Sink::writer(some.clone(), Format::Json).level(Level::WARN));
    logged(builder, |_| {
        info!("a");
        warn!("b");
        error!("c");
    });
    assert_eq!((all.lines().len(), some.lines().len()), (3, 2));
}

#[test]
fn the_end_of_the_subscriber_ends_the_threads_and_writes_the_rest() {
    let out = Shared::default();
    let (dispatch, guard) = start(json_log(&out).tail(1, Format::Text));
    let tail = guard.tail().expect("a tail");
    with_default(&dispatch, || info!("last"));
    drop((dispatch, guard));
    assert_eq!(out.lines().len(), 1);
    assert_eq!(tail.last(10).lines.len(), 1);
}

#[test]
fn a_writer_that_panics_is_tried_again() {
    struct Panics(bool, Shared);
    impl std::io::Write for Panics {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            assert!(
                std::mem::replace(&mut self.0, true),
                "the first write panics"
            );
            self.1.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let out = Shared::default();
    let builder = Builder::new().sink(Sink::writer(Panics(false, out.clone()), Format::Text));
    let (dispatch, guard) = start(builder.tail(10, Format::Text));
    with_default(&dispatch, || info!("once"));
    let tail = guard.tail().expect("a tail");
    // The record, and what the sink says of itself.
    tail.after(1).wait_timeout(LONG).expect("a tail");
    while guard.flush(LONG).is_err() {}
    assert_eq!(out.text().matches("once").count(), 1);
    assert!(
        tail.last(10)
            .lines
            .iter()
            .any(|line| line.text.contains("its writer panicked"))
    );
}

#[test]
fn a_tail_is_read_page_by_page() {
    let (dispatch, guard) = start(Builder::new().tail(3, Format::Text));
    let tail = guard.tail().expect("a tail");
    assert_eq!(tail.after(0).wait_timeout(Duration::ZERO), Ok(false));
    let reader = thread::spawn({
        let tail = tail.clone();
        move || tail.after(0).wait()
    });
    with_default(&dispatch, || {
        for n in 0..5 {
            info!(target: "shop", n, "sold");
        }
    });
    assert_eq!(reader.join().expect("joined"), Ok(()));
    guard.flush(LONG).expect("flushed");
    let page = tail.page(1, 2);
    let numbers: Vec<_> = page.lines.iter().map(|line| line.number).collect();
    assert_eq!((numbers, page.missed, page.next), (vec![2, 3], 1, 4));
    let line = &page.lines[0];
    assert_eq!((line.level, line.target), (Level::INFO, "shop"));
    assert!(line.text.ends_with("shop: sold n=2"), "{}", line.text);
    assert_eq!(tail.last(1).lines[0].number, 4);
    assert_eq!(
        ump::Clock::system().block_on(async { tail.after(4).await }, None),
        Some(Ok(()))
    );
}
