//! Waits for many replies at once.

use std::thread;

use futures_core::Stream;
use ump_server::ump::Gather;

use super::support::{
    Job, JobClient, assert_deadlock, awaiting, job, must_end, on_task, on_thread, outcome, pool,
    task_pool,
};

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_next(cx)).await
}

/// Sends `count` requests to its own server, and gathers the outcomes.
fn gathering(count: usize) -> Job {
    job(move |own| {
        let mut gather = Gather::new();
        for n in 0..count {
            gather.push(n, own.request(Job::Nothing).submit().wait().unwrap());
        }
        let mut text = Vec::new();
        while let Some((_, it)) = gather.wait() {
            text.push(outcome(it));
        }
        assert_eq!(text.len(), count);
        text.into_iter().find(|it| it != "fine").unwrap_or_default()
    })
}

#[test]
fn gathering_from_itself_is_a_deadlock() {
    must_end(|| {
        let own = on_thread("own", usize::MAX);
        for count in [1, 2, 100] {
            assert_deadlock(&own.run(gathering(count)), &["own"]);
        }
        assert_eq!(own.run(Job::Nothing), "fine", "the loop goes on");
    });
}

#[test]
fn pool_whose_workers_gather_from_it_deadlocks() {
    must_end(|| {
        let own = pool("own", 2, usize::MAX);
        for _ in 0..100 {
            let replies = [(); 2].map(|()| own.0.req_async(gathering(3)).unwrap());
            for reply in replies {
                let text = reply.wait().unwrap();
                // The other worker may have served them all.
                assert!(text.is_empty() || text == "deadlock: own → own", "{text}");
            }
        }
    });
}

/// Both workers wait for replies of the pool before either has one.
#[test]
fn pool_waiting_for_many_of_its_replies_deadlocks() {
    must_end(|| {
        let own = pool("own", 2, usize::MAX);
        let meeting = std::sync::Arc::new(std::sync::Barrier::new(2));
        let replies = [false, true].map(|gathers| {
            let meeting = std::sync::Arc::clone(&meeting);
            own.0.req_async(job(move |own| {
                meeting.wait();
                let replies = [(); 3].map(|()| own.req_async(Job::Nothing).unwrap());
                let errors = if gathers {
                    let mut gather: Gather<_, _, _, _> = replies.into_iter().enumerate().collect();
                    let mut errors = 0;
                    while let Some((_, outcome)) = gather.wait() {
                        errors += usize::from(outcome.is_err());
                    }
                    errors
                } else {
                    replies
                        .into_iter()
                        .map(|it| usize::from(it.wait().is_err()))
                        .sum()
                };
                errors.to_string()
            }))
        });
        let errors: usize = replies
            .map(|reply| reply.unwrap().wait().unwrap().parse::<usize>().unwrap())
            .iter()
            .sum();
        assert!(errors >= 1);
    });
}

#[test]
fn awaited_gather_from_itself_is_a_deadlock() {
    must_end(|| {
        let own = on_task("own", usize::MAX);
        for count in [1, 2, 100] {
            let text = own.run(awaiting(async move |own: JobClient| {
                let mut gather = Gather::new();
                for n in 0..count {
                    gather.push(n, own.request(Job::Nothing).submit().await.unwrap());
                }
                let mut text = Vec::new();
                while let Some((_, it)) = next(&mut gather).await {
                    text.push(outcome(it));
                }
                assert_eq!(text.len(), count);
                text.into_iter().find(|it| it != "fine").unwrap_or_default()
            }));
            assert_deadlock(&text, &["own"]);
        }
    });
}

// ---- waits that are not refused

#[test]
fn gathering_from_others_as_well_is_no_deadlock() {
    must_end(|| {
        let (own, other) = (on_thread("own", usize::MAX), on_thread("other", usize::MAX));
        let to_other = other.client();
        let text = own.run(job(move |own| {
            let (server, by_hand) = ump_server::channel::<Job, String, ump_server::Refused>();
            let mut gather = Gather::new();
            gather.push(0, own.request(Job::Nothing).submit().wait().unwrap());
            gather.push(1, by_hand.request(Job::Nothing).submit().wait().unwrap());
            let answers = thread::spawn(move || {
                let (_, rctx) = server.wait().unwrap();
                rctx.reply("by hand".to_owned()).unwrap();
            });
            let (key, text) = gather.wait().unwrap();
            assert_eq!(key, 1);
            answers.join().unwrap();
            drop(gather);
            let mut gather = Gather::new();
            gather.push(0, own.request(Job::Nothing).submit().wait().unwrap());
            gather.push(1, to_other.request(Job::Nothing).submit().wait().unwrap());
            let (key, second) = gather.wait().unwrap();
            assert_eq!(key, 1);
            format!("{}, {}", outcome(text), outcome(second))
        }));
        assert_eq!(text, "by hand, fine");
    });
}

#[test]
fn a_pool_with_a_free_worker_is_gathered_from() {
    must_end(|| {
        let own = pool("own", 2, usize::MAX);
        assert_eq!(own.run(gathering(100)), "");
        let own = task_pool("own", 2, usize::MAX);
        let text = own.run(awaiting(async move |own: JobClient| {
            let mut gather = Gather::new();
            for n in 0..100 {
                gather.push(n, own.request(Job::Nothing).submit().await.unwrap());
            }
            while let Some((_, it)) = next(&mut gather).await {
                assert_eq!(outcome(it), "fine");
            }
            String::new()
        }));
        assert_eq!(text, "");
    });
}
