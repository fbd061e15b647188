//! A program with a watchdog, for a test that stops its process. Each input line calls or releases
//! a handler; the output reports the result. Run by `tests/processes.rs`.

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

/// A threshold that is longer than the delay of a thread on a loaded machine.
const THRESHOLD: Duration = Duration::from_secs(2);

/// The sender that releases the handler at the next stall.
static STALLED: Mutex<Option<Sender<()>>> = Mutex::new(None);

fn say(line: &str) {
    // The reader may have gone.
    let _ = writeln!(stdout(), "{line}");
}

/// Keeps control until it is released.
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
    let mut release = None;
    for line in stdin().lines().map_while(Result::ok) {
        let (go, until) = channel();
        match line.as_str() {
            "thread" => {
                let _ = on_thread.post(until).wait();
                release = Some(go);
            }
            "task" => {
                let _ = on_task.post(until).wait();
                release = Some(go);
            }
            "stall" => {
                if let Ok(mut stalled) = STALLED.lock() {
                    *stalled = Some(go);
                }
                let _ = on_thread.post(until).wait();
            }
            _ => release = None,
        }
    }
    drop(release);
    std::process::exit(0);
}
