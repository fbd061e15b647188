//! Measures a mesh beside bare zenoh, on this host, in one run:
//! `cargo run --release --example mesh-bench`.
//!
//! Both ends are in this process, over TCP on the loopback interface. A word as an argument runs
//! the measurements that begin with it.
//!
//! The file is long because each measurement of a mesh stands beside the same one of bare zenoh.

use std::{
    io::BufRead,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use ump_mesh::{
    Config, Mesh,
    ump_router::{Message, RecvError, RequestMessage, Router, SubscribeOptions},
    zenoh::{self, Session, Wait as _, qos::CongestionControl},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often each is done. All is bounded, some seconds in the whole.
const STARTS: usize = 50;
const ROUND_TRIPS: usize = 2_000;
const MESSAGES: u64 = 100_000;
const KILLS: usize = 20;
const SUBSCRIPTIONS: [usize; 2] = [1_000, 10_000];

/// No measurement waits longer for anything.
const LIMIT: Duration = Duration::from_secs(120);

/// 64 bytes, encoded.
#[derive(Clone, Serialize, Deserialize)]
struct Text(String);

impl Text {
    fn new() -> Self {
        Self("x".repeat(62))
    }
}

impl Message for Text {
    const PREFIX: &str = "text";
}

impl RequestMessage for Text {
    type Reply = Text;
    type Error = String;
    const PREFIX: &str = "ask";
}

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let word = words.next().unwrap_or_default();
    match (&word[..], words.next()) {
        ("serve", Some(domain)) => return serve(&domain),
        ("serve-bare", Some(domain)) => return serve_bare(&domain),
        _ => {}
    }
    let all: [(&str, fn() -> Result<(), Failure>); 6] = [
        ("start", starts),
        ("request", requests),
        ("publication", publications),
        ("throughput", throughput),
        ("kill", kills),
        ("announce", announcements),
    ];
    for (name, measure) in all {
        if name.starts_with(&word) {
            measure()?;
        }
    }
    Ok(())
}

// ---- What is measured ----

/// From before both participants are started, at the same time, to the first message.
fn starts() -> Result<(), Failure> {
    let (mut mesh, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let domain = domain();
        let begun = Instant::now();
        let (receiver, sender) = both(|| join(&domain))?;
        let mut texts = receiver.0.subscribe::<Text>("a")?;
        loop {
            sender.0.publish("a", Text::new()).wait()?;
            if texts
                .recv()
                .wait_timeout(Duration::from_millis(1))?
                .is_some()
            {
                break;
            }
            in_time(begun)?;
        }
        mesh.push(begun.elapsed());
        receiver.1.leave();
        sender.1.leave();

        let begun = Instant::now();
        let (receiver, sender) = both(|| bare_session(&domain))?;
        let texts = receiver.declare_subscriber("text/a").wait()?;
        loop {
            sender.put("text/a", Text::new().0).wait()?;
            if texts.recv_timeout(Duration::from_millis(1))?.is_some() {
                break;
            }
            in_time(begun)?;
        }
        bare.push(begun.elapsed());
        receiver.close().wait()?;
        sender.close().wait()?;
    }
    report("start to first message", &mut mesh, &mut bare);
    Ok(())
}

fn requests() -> Result<(), Failure> {
    let domain = domain();
    let (server, client) = (join(&domain)?, join(&domain)?);
    let serving = server.0.serve::<Text>("a")?;
    let thread = thread::spawn(move || {
        for (call, rctx) in &serving {
            let _ = rctx.reply(call.message);
        }
    });
    let wait = |request: ump_mesh::ump_router::Request<Text>| {
        request.timeout(LIMIT).wait_for_server().wait()
    };
    wait(client.0.request("a", Text::new())).map_err(|error| error.to_string())?;
    let bare_domain = self::domain();
    let (bare_server, bare_client) = (bare_session(&bare_domain)?, bare_session(&bare_domain)?);
    let queryable = bare_server.declare_queryable("ask/a").complete(true);
    let queryable = queryable.callback(|query| {
        let payload = query.payload().cloned().unwrap_or_default();
        let _ = query.reply("ask/a", payload).wait();
    });
    let _queryable = queryable.wait()?;
    let ask = || bare_client.get("ask/a").payload(Text::new().0).wait();
    let begun = Instant::now();
    while ask()?.recv().is_err() {
        in_time(begun)?;
    }
    let (mut mesh, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUND_TRIPS {
        let begun = Instant::now();
        let reply = client.0.request("a", Text::new()).wait();
        reply.map_err(|error| error.to_string())?;
        mesh.push(begun.elapsed());
        let begun = Instant::now();
        ask()?.recv()?;
        bare.push(begun.elapsed());
    }
    report("request and reply", &mut mesh, &mut bare);
    server.0.close();
    let _ = thread.join();
    Ok(())
}

/// From publishing to receiving, one message at a time.
fn publications() -> Result<(), Failure> {
    let (sender, receiver) = pair()?;
    let mut texts = receiver.0.subscribe::<Text>("a")?;
    await_subscriber(&sender.0)?;
    let bare = BarePair::new()?;
    let (mut mesh_times, mut bare_times) = (Vec::new(), Vec::new());
    for _ in 0..ROUND_TRIPS {
        let begun = Instant::now();
        sender.0.publish("a", Text::new()).wait()?;
        texts.recv().wait()?;
        mesh_times.push(begun.elapsed());
        let begun = Instant::now();
        bare.put(CongestionControl::Drop, true)?;
        bare.texts.recv_timeout(LIMIT)?;
        bare_times.push(begun.elapsed());
    }
    report("publication", &mut mesh_times, &mut bare_times);
    Ok(())
}

/// Many messages, as fast as they are taken.
fn throughput() -> Result<(), Failure> {
    let (sender, receiver) = pair()?;
    let options = SubscribeOptions::new().capacity(usize::try_from(MESSAGES)?);
    let mut texts = receiver.0.subscribe_with::<Text>("a", options)?;
    await_subscriber(&sender.0)?;
    if !receiver.1.settled(LIMIT).wait() {
        return Err("the subscription is not confirmed".into());
    }
    let begun = Instant::now();
    let publisher = sender.0.clone();
    let publishing = thread::spawn(move || {
        for _ in 0..MESSAGES {
            let _ = publisher.publish("a", Text::new()).wait();
        }
    });
    let (mut received, mut missed, mut last) = (0, 0, begun);
    while received + missed < MESSAGES {
        match texts.recv().wait_timeout(LIMIT) {
            Ok(Some(_)) => {
                received += 1;
                last = Instant::now();
            }
            Err(RecvError::Missed(count)) => missed += count,
            Ok(None) => return Err(format!("{received} received, {missed} missed").into()),
            Err(error) => return Err(error.into()),
        }
    }
    let _ = publishing.join();
    rate("throughput, mesh", received, missed, last - begun);
    for (name, control) in [
        ("throughput, bare, drops", CongestionControl::Drop),
        ("throughput, bare, blocks", CongestionControl::Block),
    ] {
        let bare = BarePair::new()?;
        let begun = Instant::now();
        for _ in 0..MESSAGES {
            bare.put(control, false)?;
        }
        let (mut received, mut last) = (0, Instant::now());
        while bare.texts.recv_timeout(Duration::from_secs(1)).is_ok() {
            received += 1;
            last = Instant::now();
            if received == MESSAGES {
                break;
            }
        }
        rate(name, received, MESSAGES - received, last - begun);
    }
    Ok(())
}

/// From `kill -9` of a server that holds a request to the end of the request.
fn kills() -> Result<(), Failure> {
    let (mut mesh, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..KILLS {
        let domain = domain();
        let client = join(&domain)?;
        let mut server = Server::start("serve", &domain)?;
        let request = client.0.request("a", Text::new());
        let request = request.timeout(LIMIT).wait_for_server();
        let (done, ended) = mpsc::channel();
        let caller = thread::spawn(move || {
            let outcome = request.wait();
            let _ = done.send(Instant::now());
            outcome.is_err()
        });
        server.line()?; // it has the request
        let begun = Instant::now();
        server.0.kill()?;
        mesh.push(ended.recv_timeout(LIMIT)? - begun);
        if !caller.join().unwrap_or(false) {
            return Err("a killed server has replied".into());
        }

        let session = bare_session(&domain)?;
        let mut server = Server::start("serve-bare", &domain)?;
        let (done, ended) = mpsc::channel();
        let asking = session.clone();
        thread::spawn(move || {
            // Until there is no session any more. Before there is a server, each ends at once.
            while let Ok(replies) = asking.get("ask/a").timeout(LIMIT).wait() {
                let _ = replies.recv();
                if done.send(Instant::now()).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        server.line()?; // it has the query, so none of the former ones runs
        while ended.try_recv().is_ok() {}
        let begun = Instant::now();
        server.0.kill()?;
        bare.push(ended.recv_timeout(LIMIT)? - begun);
        session.close().wait()?;
        client.1.leave();
    }
    report("killed server is told", &mut mesh, &mut bare);
    Ok(())
}

/// From the first of many subscriptions until another participant knows all of them.
fn announcements() -> Result<(), Failure> {
    SUBSCRIPTIONS.into_iter().try_for_each(announce)
}

fn announce(subscriptions: usize) -> Result<(), Failure> {
    let (other, own) = pair()?;
    let topics: Vec<_> = (0..subscriptions).map(|nth| format!("t/{nth}")).collect();
    let begun = Instant::now();
    let mut kept = Vec::new();
    for topic in &topics {
        kept.push(own.0.subscribe::<Text>(topic.as_str())?);
    }
    let subscribed = begun.elapsed();
    let count = || Some(other.1.participants().first()?.subscriptions);
    while count() != Some(subscriptions) {
        in_time(begun)?;
        thread::sleep(Duration::from_millis(1));
    }
    let mesh = begun.elapsed();

    let domain = domain();
    let (own, other) = (bare_session(&domain)?, bare_session(&domain)?);
    let (counted, tokens) = mpsc::channel();
    let liveliness = other.liveliness().declare_subscriber("token/**");
    let liveliness = liveliness.history(true).callback(move |_| {
        let _ = counted.send(());
    });
    let _liveliness = liveliness.wait()?;
    let begun = Instant::now();
    let (mut subscribers, mut declared) = (Vec::new(), Vec::new());
    for topic in &topics {
        let subscriber = own.declare_subscriber(format!("text/{topic}"));
        subscribers.push(subscriber.callback(drop).wait()?);
        let token = format!("token/{topic}");
        declared.push(own.liveliness().declare_token(token).wait()?);
    }
    for _ in 0..subscriptions {
        tokens.recv_timeout(LIMIT)?;
    }
    let bare = begun.elapsed();
    println!(
        "{:<24} {subscriptions}: mesh {} ms (subscribed after {} ms), bare {} ms",
        "subscriptions announced",
        mesh.as_millis(),
        subscribed.as_millis(),
        bare.as_millis(),
    );
    Ok(())
}

// ---- The server that is killed ----

/// The other process: it serves, says that it was asked, and does not reply.
struct Server(
    Child,
    std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
);

impl Server {
    fn start(how: &str, domain: &str) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([how, domain]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no output")?;
        Ok(Self(child, std::io::BufReader::new(stdout).lines()))
    }

    /// Waits for its line.
    fn line(&mut self) -> Result<(), Failure> {
        self.1.next().ok_or("the server has ended")??;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(domain: &str) -> Result<(), Failure> {
    let (router, _mesh) = join(domain)?;
    let server = router.serve::<Text>("a")?;
    let mut held = Vec::new();
    for call in &server {
        held.push(call);
        println!("asked");
    }
    Ok(())
}

fn serve_bare(domain: &str) -> Result<(), Failure> {
    let session = bare_session(domain)?;
    let queries = session.declare_queryable("ask/a").complete(true).wait()?;
    let mut held = Vec::new();
    while let Ok(query) = queries.recv() {
        held.push(query);
        println!("asked");
    }
    Ok(())
}

// ---- Participants, and bare sessions that are configured like them ----

/// A domain that no other one has.
fn domain() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};

    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("bench-{}-{number}", std::process::id())
}

fn join(domain: &str) -> Result<(Router, Mesh), Failure> {
    let router = Router::new();
    router.carry::<Text>()?;
    router.carry_requests::<Text>()?;
    let config = Config::new().domain(domain).interface("127.0.0.1");
    let mesh = Mesh::join(&router, config).wait()?;
    Ok((router, mesh))
}

/// Starts two at the same time: one that finds nobody waits for half a second.
fn both<T: Send>(start: impl Fn() -> Result<T, Failure> + Sync) -> Result<(T, T), Failure> {
    thread::scope(|scope| {
        let other = scope.spawn(&start);
        let one = start()?;
        let other = other.join().map_err(|_| "a thread has panicked")??;
        Ok((one, other))
    })
}

/// Two that know each other.
fn pair() -> Result<((Router, Mesh), (Router, Mesh)), Failure> {
    let domain = domain();
    let (one, two) = (join(&domain)?, join(&domain)?);
    let begun = Instant::now();
    while one.1.participants().is_empty() || two.1.participants().is_empty() {
        in_time(begun)?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok((one, two))
}

fn await_subscriber(router: &Router) -> Result<(), Failure> {
    let begun = Instant::now();
    while !router.has_subscribers::<Text>("a")? {
        in_time(begun)?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn bare_session(domain: &str) -> Result<Session, Failure> {
    let group = ump_mesh::group(domain);
    let mut config = zenoh::Config::default();
    for (key, value) in [
        ("namespace", format!("\"bare/{domain}\"")),
        ("scouting/multicast/address", format!("\"{group}\"")),
        ("scouting/multicast/interface", "\"127.0.0.1\"".to_owned()),
        ("listen/endpoints", "[\"tcp/127.0.0.1:0\"]".to_owned()),
        ("transport/link/tx/lease", "2000".to_owned()),
    ] {
        config.insert_json5(key, &value)?;
    }
    zenoh::open(config).wait()
}

/// A bare publisher whose subscriber has received its first message.
struct BarePair {
    sender: Session,
    _receiver: Session,
    _subscriber: zenoh::pubsub::Subscriber<()>,
    texts: mpsc::Receiver<Vec<u8>>,
}

impl BarePair {
    fn new() -> Result<Self, Failure> {
        let domain = domain();
        let (sender, receiver) = (bare_session(&domain)?, bare_session(&domain)?);
        let (received, texts) = mpsc::channel();
        let subscriber = receiver.declare_subscriber("text/a");
        let subscriber = subscriber.callback(move |sample: zenoh::sample::Sample| {
            let _ = received.send(sample.payload().to_bytes().into_owned());
        });
        let pair = Self {
            _subscriber: subscriber.wait()?,
            sender,
            _receiver: receiver,
            texts,
        };
        let begun = Instant::now();
        while pair.texts.recv_timeout(Duration::from_millis(1)).is_err() {
            pair.put(CongestionControl::Drop, true)?;
            in_time(begun)?;
        }
        while pair.texts.recv_timeout(Duration::from_millis(50)).is_ok() {}
        Ok(pair)
    }

    fn put(&self, control: CongestionControl, is_express: bool) -> Result<(), Failure> {
        let put = self.sender.put("text/a", Text::new().0);
        put.congestion_control(control).express(is_express).wait()?;
        Ok(())
    }
}

// ---- Lines ----

fn in_time(begun: Instant) -> Result<(), Failure> {
    if begun.elapsed() > LIMIT {
        return Err("nothing has come in time".into());
    }
    Ok(())
}

/// The median and the 99th percentile of both, in microseconds.
fn report(what: &str, mesh: &mut [Duration], bare: &mut [Duration]) {
    let figures = |times: &mut [Duration]| {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
        (at(50), at(99))
    };
    let ((mesh, mesh_high), (bare, bare_high)) = (figures(mesh), figures(bare));
    println!(
        "{what:<24} p50/p99 in us: mesh {mesh}/{mesh_high}, bare {bare}/{bare_high}: {}",
        ratio(mesh, bare)
    );
}

fn ratio(mesh: u128, bare: u128) -> String {
    let hundredths = mesh * 100 / bare.max(1);
    format!("{}.{:02} x", hundredths / 100, hundredths % 100)
}

fn rate(what: &str, received: u64, missed: u64, time: Duration) {
    let micros = time.as_micros().max(1);
    let per_second = u128::from(received) * 1_000_000 / micros;
    println!("{what:<24} {per_second} messages/s; received {received}, missed {missed}");
}
