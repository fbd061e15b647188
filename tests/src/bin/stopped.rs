//! A program with a watchdog, for a test that stops it for a while. Each line that it reads has a handler called or let go; what it writes says how
//! that went. Run by `tests/processes.rs`.

use std::{
    future::ready,
    io::{Write, stdin, stdout},
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use ump_server::{task, thread, watchdog::Stall};

/// Longer than a loaded machine keeps a thread from running.
const THRESHOLD: Duration = Duration::from_secs(2);

/// Let go by the next stall.
static STALLED: Mutex<Option<Sender<()>>> = Mutex::new(None);

fn say(line: &str) {
    // Nobody may read it any more.
    let _ = writeln!(stdout(), "{line}");
}

/// Has control until it is let go.
#[expect(clippy::unnecessary_wraps, reason = "a handler may refuse")]
fn handle(until: &Receiver<()>) -> Result<(), ()> {
    say("running");
    let _ = until.recv();
    say("done");
    Ok(())
}

fn on_stall(stall: &Stall) {
    say(&format!("stall {}", stall.stage as u8));
    let stalled = STALLED.lock().ok().and_then(|mut stalled| stalled.take());
    if let Some(stalled) = stalled {
        let _ = stalled.send(());
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("the system lets us have threads");
    let (on_thread, _) = thread::Builder::new()
        .watchdog(THRESHOLD)
        .on_stall(on_stall)
        .spawn(|_| Ok(thread::answer(|until: Receiver<()>| handle(&until))))
        .expect("it can be spawned");
    let (on_task, _) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .watchdog(THRESHOLD)
        .on_stall(on_stall)
        .spawn(|_| Ok(task::answer(|until: Receiver<()>| ready(handle(&until)))))
        .expect("it can be spawned");
    say("ready");
    let mut let_go = None;
    for line in stdin().lines().map_while(Result::ok) {
        let (go, until) = channel();
        match line.as_str() {
            "thread" => {
                let _ = on_thread.post(until).wait();
                let_go = Some(go);
            }
            "task" => {
                let _ = on_task.post(until).wait();
                let_go = Some(go);
            }
            "stall" => {
                if let Ok(mut stalled) = STALLED.lock() {
                    *stalled = Some(go);
                }
                let _ = on_thread.post(until).wait();
            }
            _ => let_go = None,
        }
    }
    drop(let_go);
    std::process::exit(0);
}
