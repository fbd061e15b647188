//! A client in Python, written from `PROTOCOL.md`, against a session behind a unix socket.

use std::{
    env, fs,
    io::{ErrorKind, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio, id},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use ump::Executed;
use ump_router::link::{
    session::{Closed, Config, Credit, Event, Outcome, Progress, Session},
    wire::{Codec, Failure, GoodbyeReason, Limits, Status},
};

use crate::pair::{call, config, payload, publication};

const PROGRAM: &str = include_str!("client.py");

/// A hung client is killed after so long.
const LIMIT: Duration = Duration::from_secs(60);

/// A directory with the socket, and the client.
struct Client {
    directory: PathBuf,
    child: Option<Child>,
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Starts the client, and waits for its connection. Returns `None` if there is no Python.
fn start(arguments: &[&str]) -> Option<(Client, UnixStream)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let directory = env::temp_dir().join(format!("ump-link-{}-{number}", id()));
    fs::create_dir_all(&directory).unwrap();
    let mut client = Client {
        directory: directory.clone(),
        child: None,
    };
    let (socket, program) = (directory.join("hub.sock"), directory.join("client.py"));
    fs::write(&program, PROGRAM).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let spawned = Command::new("python3")
        .arg(program)
        .arg(socket)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match spawned {
        Ok(child) => client.child = Some(child),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: python3 is not installed");
            return None;
        }
        Err(error) => panic!("{error}"),
    }
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return Some((client, stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        let ended = client.child.as_mut().unwrap().try_wait().unwrap();
        assert!(ended.is_none() && start.elapsed() < LIMIT, "{}", {
            let child = client.child.take().unwrap();
            format!("{:?}", child.wait_with_output())
        });
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the client to its end. The function gets each event, and `None` when nothing happens.
/// Returns the lines that the client printed.
fn run(
    config: Config,
    arguments: &[&str],
    mut on_event: impl FnMut(&mut Session, Option<Event>),
) -> Option<Vec<String>> {
    let (mut client, mut stream) = start(arguments)?;
    stream
        .set_read_timeout(Some(Duration::from_millis(10)))
        .unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    let start = Instant::now();
    let mut session = Session::new(start, config);
    let mut buffer = [0; 4096];
    while !session.is_finished() {
        let now = Instant::now();
        assert!(now - start < LIMIT, "the client hangs");
        session.tick(now);
        let mut bytes = match stream.read(&mut buffer) {
            Ok(count) => &buffer[..count],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                on_event(&mut session, None);
                &[]
            }
            Err(_) => {
                session.disconnected(now);
                &[]
            }
        };
        loop {
            let used = session.receive(now, bytes);
            bytes = &bytes[used..];
            while let Some(event) = session.poll_event() {
                on_event(&mut session, Some(event));
            }
            if bytes.is_empty() {
                break;
            }
        }
        loop {
            let bytes = session.transmit(now);
            if bytes.is_empty() {
                break;
            }
            let count = bytes.len();
            if stream.write_all(bytes).is_err() {
                session.disconnected(now);
                break;
            }
            session.sent(now, count);
        }
    }
    drop(stream);
    let output = client.child.take().unwrap().wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(lines.lines().map(str::to_owned).collect())
}

/// The session has small limits, so that the client has to wait for credit and to reuse numbers.
fn narrow() -> Config {
    Config {
        limits: Limits {
            frame: 4096,
            window: 8208,
            topics: 2,
            ..Limits::default()
        },
        ..config(1)
    }
}

fn is_goodbye(event: &Event) -> bool {
    let done = GoodbyeReason::Done;
    matches!(event, Event::Closed(Closed::Peer { reason, .. }) if *reason == done)
}

#[test]
fn a_client_in_another_language_subscribes() {
    const COUNT: usize = 40;
    let (mut subscription, mut number, mut ended) = (None, 0, false);
    let topics = ["price/eur", "price/usd", "price/chf"];
    let arguments = ["sub", "price/**", &COUNT.to_string()];
    let lines = run(narrow(), &arguments, |session, event| match event {
        Some(Event::Subscribe { id, pattern, .. }) => {
            assert_eq!(pattern.as_str(), "price/**");
            session.answer_subscribe(id, Status::Accepted, "").unwrap();
            subscription = Some(id);
        }
        Some(Event::Unsubscribe { id }) => {
            assert_eq!(subscription.take(), Some(id));
            ended = true;
        }
        Some(_) => {}
        // The client has credit for two at a time.
        None => {
            let to: Vec<_> = subscription.into_iter().collect();
            for topic in topics {
                let text = format!("{number:<900}");
                number += to.len();
                session.publish(&publication(topic, &text), &to).unwrap();
            }
        }
    });
    let Some(lines) = lines else { return };
    assert!(ended);
    let (mut next, mut received) = (0, 0);
    for line in &lines {
        let (topic, text) = line.split_once(' ').unwrap();
        let shown: usize = text.trim().parse().unwrap();
        if topic == "missed" {
            next += shown;
        } else {
            assert_eq!((topic, shown), (topics[next % 3], next), "{lines:?}");
            next += 1;
            received += 1;
        }
    }
    assert_eq!(received, COUNT);
    assert!(next > COUNT, "it missed some, and was told: {lines:?}");
}

#[test]
fn a_client_in_another_language_publishes() {
    let texts: Vec<_> = (0..30).map(|number| format!("{number:<900}")).collect();
    let mut arguments = vec!["pub", "price/eur"];
    arguments.extend(texts.iter().map(String::as_str));
    let (mut received, mut has_ended) = (Vec::new(), false);
    let lines = run(narrow(), &arguments, |session, event| match event {
        Some(Event::Opened { hello, .. }) => {
            assert_eq!(hello.name, "python");
            let credit = Credit {
                messages: 2,
                bytes: 10_000,
            };
            let pattern = "price/**".parse().unwrap();
            session.subscribe(&pattern, credit, false).unwrap();
        }
        Some(Event::Message {
            to, topic, payload, ..
        }) => {
            assert_eq!((to[..].len(), topic.as_str()), (1, "price/eur"));
            // The last messages may come together with the goodbye, after which there is no
            // subscription.
            let _ = session.consumed(to[0], 1, payload.len() as u64);
            received.push(String::from_utf8(payload.to_vec()).unwrap());
        }
        Some(event) => has_ended |= is_goodbye(&event),
        None => {}
    });
    if lines.is_some() {
        assert_eq!(received, texts);
        assert!(has_ended);
    }
}

/// Runs a client that makes a request.
fn request(arguments: &[&str], mut answer: impl FnMut(&mut Session, u64)) -> Option<Vec<String>> {
    let mut taken = None;
    let arguments: Vec<_> = ["req", "echo/hello", "hi"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    run(narrow(), &arguments, |session, event| match event {
        Some(Event::Request {
            request,
            topic,
            payload,
            deadline,
            ..
        }) => {
            assert_eq!((topic.as_str(), &payload[..]), ("echo/hello", &b"hi"[..]));
            if deadline.is_none() {
                assert!(session.take(Instant::now(), request));
                taken = Some(request);
            }
        }
        Some(_) => {}
        // Later, so that it was told that it was taken.
        None => {
            if let Some(request) = taken.take() {
                answer(session, request);
            }
        }
    })
}

#[test]
fn a_client_in_another_language_requests() {
    let raw = Codec::Raw;
    let expect = |lines: Option<Vec<String>>, expected: &[&str]| {
        if let Some(lines) = lines {
            assert_eq!(lines, expected);
        }
    };
    let lines = request(&[], |session, request| {
        let reply = payload("hi yourself");
        session.reply(request, raw, Ok(&reply)).unwrap();
    });
    expect(lines, &["taken", "reply hi yourself"]);
    let lines = request(&[], |session, request| {
        session.reply(request, raw, Err(&payload("no"))).unwrap();
    });
    expect(lines, &["taken", "refused no"]);
    let lines = request(&[], |session, request| {
        let executed = Executed::Perhaps;
        let failed = session.fail(request, Failure::ServerLost, executed, "killed");
        failed.unwrap();
    });
    expect(lines, &["taken", "failure 3 executed 1: killed"]);
    // Nobody takes it before its time is over.
    let lines = request(&["0.05"], |_, _| {});
    expect(lines, &["failure 4 executed 0: "]);
}

#[test]
fn a_client_in_another_language_serves() {
    let mut outcomes = Vec::new();
    let (mut slow, mut next, mut has_left) = (None, 7, false);
    let arguments = ["serve", "echo/hello", "12"];
    let lines = run(narrow(), &arguments, |session, event| match event {
        Some(Event::Serve { id, topic, .. }) => {
            assert_eq!(topic.as_str(), "echo/hello");
            session.answer_serve(id, Status::Accepted, "").unwrap();
            let now = Instant::now();
            slow = Some(session.request(now, &call("slow", None)).unwrap());
            for number in 0..7 {
                // More than the client has credit for at once.
                let text = format!("request {number:<1900}");
                session.request(now, &call(&text, None)).unwrap();
            }
        }
        Some(Event::Ended { request, outcome }) => {
            let is_reply = matches!(outcome, Outcome::Reply { .. });
            outcomes.push((request, outcome));
            // The client has answered one that came later, and has not taken the first.
            if let Some(slow) = slow.take() {
                session.cancel(slow).unwrap();
            }
            // The client allows eight at a time.
            if is_reply && next < 11 {
                let text = format!("request {next:<1900}");
                let requested = session.request(Instant::now(), &call(&text, None));
                requested.unwrap();
                next += 1;
            }
        }
        Some(Event::Leave { .. }) => has_left = true,
        _ => {}
    });
    if lines.is_none() {
        return;
    }
    assert!(has_left);
    outcomes.sort_by_key(|(request, _)| *request);
    assert_eq!(outcomes.len(), 12, "{outcomes:?}");
    let slow = Outcome::Cancelled(Progress::Sent);
    assert_eq!(outcomes[0], (1, slow));
    for (number, (_, outcome)) in outcomes[1..].iter().enumerate() {
        let reply = Outcome::Reply {
            codec: Codec::Raw,
            payload: payload(&format!("REQUEST {number:<1900}")),
        };
        assert_eq!(outcome, &reply);
    }
}
