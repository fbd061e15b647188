//! `--compress`, at both ends of a link.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

use crate::support::{Ump, run, run_with_input};

/// A line that becomes shorter.
const LONG: usize = 200_000;

/// Passes one connection on to a hub, and counts the bytes of its client.
struct Wire {
    address: String,
    count: Arc<AtomicUsize>,
}

impl Wire {
    fn new(hub: &str) -> Self {
        let hub = hub.strip_prefix("tcp:").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp:{}", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        thread::spawn(move || {
            let client = listener.accept().unwrap().0;
            let hub = TcpStream::connect(hub).unwrap();
            let (from, to) = (hub.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || pass_on(from, to, &AtomicUsize::new(0)));
            pass_on(client, hub, &counted);
        });
        Self { address, count }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, count: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        count.fetch_add(read, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// A hub as a process, with its address.
fn serve(args: &[&str]) -> (Ump, String) {
    let mut hub = Ump::start(&[&["serve", "--listen", "tcp:127.0.0.1:0"], args].concat());
    let line = hub.line();
    let address = line.strip_prefix("listening on ").unwrap().to_owned();
    (hub, address)
}

/// Publishes a long line. Returns how many bytes that takes.
fn publish(hub: &str, args: &[&str]) -> usize {
    let args = [&["sub", "--on", hub, "a", "-n", "1", "--json"], args].concat();
    let sub = Ump::start_until(&args, "subscribed");
    let wire = Wire::new(hub);
    let args = [&["pub", "--on", &wire.address, "a", "-"], &args[7..]].concat();
    let line = "a".repeat(LONG);
    let ran = run_with_input(&args, &line);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let shown: Value = serde_json::from_str(&sub.end().stdout).unwrap();
    assert_eq!(shown["json"], line);
    wire.count.load(Ordering::Relaxed)
}

#[test]
fn a_long_message_is_compressed_if_both_ends_offer_it() {
    let (_hub, address) = serve(&["--compress"]);
    let count = publish(&address, &["--compress"]);
    assert!(count < LONG / 10, "{count}");
    let count = publish(&address, &[]);
    assert!(count > LONG, "{count}");
    let (_hub, address) = serve(&[]);
    let count = publish(&address, &["--compress"]);
    assert!(count > LONG, "{count}");
}

#[test]
fn a_request_and_its_reply_are_compressed() {
    let (_hub, address) = serve(&["--compress"]);
    let args = ["reply", "--on", &address, "echo/a", "--compress"];
    let reply = Ump::start_until(&[&args[..], &["--exec", "cat"]].concat(), "serves");
    let wire = Wire::new(&address);
    let text = "b".repeat(LONG / 2);
    let args = ["req", "--on", &wire.address, "echo/a", "--compress"];
    let ran = run(&[&args[..], &["--text", &text]].concat());
    assert_eq!((ran.code, ran.stdout.trim_end()), (0, text.as_str()));
    let count = wire.count.load(Ordering::Relaxed);
    assert!(count < LONG / 20, "{count}");
    drop(reply);
}

#[test]
fn a_configuration_offers_compression() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus.toml");
    let config = "compress = true\n[access]\ndefault = \"allow\"";
    std::fs::write(&path, config).unwrap();
    let (_hub, address) = serve(&["--config", path.to_str().unwrap()]);
    let (_plain, plain) = serve(&[]);
    let ends = |address, args: &[&str], text| {
        let ran = run(&[&["doctor", "--on", address], args].concat());
        let line = ran
            .stdout
            .lines()
            .find(|line| line.contains("hello"))
            .unwrap();
        assert!(line.ends_with(text), "{line}");
    };
    ends(&address, &["--compress"], ", compressed");
    ends(&address, &[], " bytes");
    let text = ", not compressed: the server does not offer it";
    ends(&plain, &["--compress"], text);
}
