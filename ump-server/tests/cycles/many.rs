//! Waits for many replies at once.

use std::thread;

use futures_core::Stream;
use ump_server::ump::Gather;

use super::scene::{
    Job, Own, assert_told, awaiting, job, must_end, on_task, on_thread, outcome, pool, task_pool,
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
        let mut said = Vec::new();
        while let Some((_, it)) = gather.wait() {
            said.push(outcome(it));
        }
        assert_eq!(said.len(), count);
        said.into_iter().find(|it| it != "fine").unwrap_or_default()
    })
}

#[test]
fn who_gathers_from_itself_is_told() {
    must_end(|| {
        let own = on_thread("own", usize::MAX);
        for count in [1, 2, 100] {
            assert_told(&own.told_to(gathering(count)), &["own"]);
        }
        assert_eq!(own.told_to(Job::Nothing), "fine", "the loop goes on");
    });
}

#[test]
fn a_pool_whose_workers_all_gather_from_it_is_told() {
    must_end(|| {
        let own = pool("own", 2, usize::MAX);
        for _ in 0..100 {
            let replies = [(); 2].map(|()| own.0.req_async(gathering(3)).unwrap());
            for reply in replies {
                let said = reply.wait().unwrap();
                // The other worker may have served them all.
                assert!(said.is_empty() || said == "deadlock: own → own", "{said}");
            }
        }
    });
}

/// Both workers wait for replies of the pool before either has one.
#[test]
fn a_pool_that_waits_for_many_of_its_own_is_told() {
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
fn an_awaited_gather_from_itself_is_told() {
    must_end(|| {
        let own = on_task("own", usize::MAX);
        for count in [1, 2, 100] {
            let said = own.told_to(awaiting(async move |own: Own| {
                let mut gather = Gather::new();
                for n in 0..count {
                    gather.push(n, own.request(Job::Nothing).submit().await.unwrap());
                }
                let mut said = Vec::new();
                while let Some((_, it)) = next(&mut gather).await {
                    said.push(outcome(it));
                }
                assert_eq!(said.len(), count);
                said.into_iter().find(|it| it != "fine").unwrap_or_default()
            }));
            assert_told(&said, &["own"]);
        }
    });
}

// ---- waits that are not refused

#[test]
fn who_gathers_from_elsewhere_too_is_not_told() {
    must_end(|| {
        let (own, other) = (on_thread("own", usize::MAX), on_thread("other", usize::MAX));
        let to_other = other.client();
        let said = own.told_to(job(move |own| {
            let (server, by_hand) = ump_server::channel::<Job, String, ump_server::Refused>();
            let mut gather = Gather::new();
            gather.push(0, own.request(Job::Nothing).submit().wait().unwrap());
            gather.push(1, by_hand.request(Job::Nothing).submit().wait().unwrap());
            let answers = thread::spawn(move || {
                let (_, rctx) = server.wait().unwrap();
                rctx.reply("by hand".to_owned()).unwrap();
            });
            let (key, said) = gather.wait().unwrap();
            assert_eq!(key, 1);
            answers.join().unwrap();
            drop(gather);
            let mut gather = Gather::new();
            gather.push(0, own.request(Job::Nothing).submit().wait().unwrap());
            gather.push(1, to_other.request(Job::Nothing).submit().wait().unwrap());
            let (key, second) = gather.wait().unwrap();
            assert_eq!(key, 1);
            format!("{}, {}", outcome(said), outcome(second))
        }));
        assert_eq!(said, "by hand, fine");
    });
}

#[test]
fn a_pool_with_a_free_worker_is_gathered_from() {
    must_end(|| {
        let own = pool("own", 2, usize::MAX);
        assert_eq!(own.told_to(gathering(100)), "");
        let own = task_pool("own", 2, usize::MAX);
        let said = own.told_to(awaiting(async move |own: Own| {
            let mut gather = Gather::new();
            for n in 0..100 {
                gather.push(n, own.request(Job::Nothing).submit().await.unwrap());
            }
            while let Some((_, it)) = next(&mut gather).await {
                assert_eq!(outcome(it), "fine");
            }
            String::new()
        }));
        assert_eq!(said, "");
    });
}
