//! The monitor's thread exists while there is something to watch. This test has its own program,
//! since a process has one monitor.
#![cfg(target_os = "linux")]

use std::{
    fs,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use ump_server::{ReplyContext, thread};

const LONG: Duration = Duration::from_secs(60);

/// Returns the number of monitor threads in the process.
fn monitors() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("the system says which threads there are");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "ump-watchdog").count()
}

/// Waits until there are `count` monitors. A loop's end is visible before the system has removed
/// the thread.
fn await_monitors(count: usize) {
    let deadline = Instant::now() + LONG;
    while monitors() != count {
        assert!(
            Instant::now() < deadline,
            "there are {} monitors",
            monitors()
        );
        std::thread::yield_now();
    }
}

fn handle((): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
    let _ = rctx.reply(());
    ControlFlow::Continue(())
}

#[test]
fn one_thread_watches_all_servers_and_ends_with_them() {
    // The plain `spawn` is watched if the feature `watchdog` is enabled.
    let unwatched = thread::Builder::new().spawn(|_| Ok(handle)).unwrap();
    unwatched.0.req(()).unwrap();
    assert_eq!(monitors(), 0);
    for _ in 0..3 {
        let [first, second] = [(); 2].map(|()| {
            let builder = thread::Builder::new().watchdog(Duration::from_secs(1));
            builder.spawn(|_| Ok(handle)).unwrap()
        });
        first.0.req(()).unwrap();
        second.0.req(()).unwrap();
        await_monitors(1);
        drop(first.0);
        first.1.join().unwrap();
        second.0.req(()).unwrap();
        await_monitors(1);
        drop(second.0);
        second.1.join().unwrap();
        await_monitors(0);
    }
}
