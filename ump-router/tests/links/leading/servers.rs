//! Threads that serve, and read a link while they wait for the next request.

use std::{collections::BTreeSet, path::Path, sync::mpsc, thread, time::Duration};

use super::{await_idle_loop, request_in_a_row};
use crate::support::{Double, LONG, Pair, await_server, on_each};

/// Waits until a path is removed.
fn await_removed(path: &Path) {
    let pause = Duration::from_millis(5);
    let looks = LONG.as_millis() / pause.as_millis();
    let is_removed = (0..looks).any(|_| {
        thread::sleep(pause);
        !path.exists()
    });
    assert!(is_removed, "{} is left", path.display());
}

#[test]
fn a_thread_that_waits_elsewhere_keeps_no_router() {
    let pair = Pair::new(false);
    let elsewhere = crate::support::router();
    let server = pair.hub.serve::<Double>("a").unwrap();
    let other = elsewhere.serve::<Double>("b").unwrap();
    let (send, answered) = mpsc::channel();
    let serving = thread::spawn(move || {
        for _ in 1..20 {
            let (call, rctx) = server.wait().unwrap();
            await_idle_loop();
            let _ = rctx.reply(2 * call.message.0);
        }
        send.send(()).unwrap();
        other.wait().is_err()
    });
    await_server(&pair.leaf, "a");
    request_in_a_row(&pair.leaf);
    answered.recv_timeout(LONG).unwrap();
    thread::sleep(Duration::from_millis(20)); // most likely it waits by now
    let path = pair.listener.address().to_string();
    let path = Path::new(path.strip_prefix("unix:").unwrap());
    assert!(path.exists());
    pair.hub.close();
    await_removed(path);
    elsewhere.close();
    assert!(serving.join().unwrap());
}

#[test]
fn all_threads_of_a_server_get_requests_while_one_reads() {
    const THREADS: usize = 4;
    on_each(|from, to, _| {
        let server = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        thread::scope(|scope| {
            let (send, taken) = mpsc::channel();
            let (releases, serving): (Vec<_>, Vec<_>) = (0..THREADS)
                .map(|nth| {
                    let (release, released) = mpsc::channel::<()>();
                    let (server, send) = (&server, send.clone());
                    let serving = scope.spawn(move || {
                        while let Ok((call, rctx)) = server.wait() {
                            if call.message == Double(0) {
                                send.send(nth).unwrap();
                                released.recv_timeout(LONG).unwrap();
                            }
                            rctx.reply(2 * call.message.0).unwrap();
                        }
                    });
                    (release, serving)
                })
                .unzip();
            for _ in 0..20 {
                request_in_a_row(from); // one of them reads the link
                let callers: Vec<_> = (0..THREADS)
                    .map(|_| scope.spawn(|| from.request("a", Double(0)).timeout(LONG).wait()))
                    .collect();
                let taking = callers.iter().map(|_| taken.recv_timeout(LONG).unwrap());
                let taking: BTreeSet<_> = taking.collect();
                assert_eq!(taking, (0..THREADS).collect());
                for release in &releases {
                    release.send(()).unwrap();
                }
                for caller in callers {
                    assert_eq!(caller.join().unwrap().unwrap(), 0);
                }
            }
            request_in_a_row(from);
            server.close_handle().close();
            for serving in serving {
                serving.join().unwrap();
            }
        });
    });
}
