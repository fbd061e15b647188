//! Each wait with a time limit of a week ends when a week of virtual time has passed, and not
//! before.

use super::*;

/// Makes tests of waits. Each wait runs on a thread of its own, with the ends that `setup` makes
/// from a clock. It returns true if it ended correctly when a week has passed.
macro_rules! a_week_passes {
    ($($test:ident: $setup:expr, |$ends:pat_param| $wait:expr;)+) => {$(
        #[test]
        fn $test() {
            must_end(|| {
                let clock = ManualClock::new();
                let end = clock.now() + WEEK;
                let ends = $setup(&clock);
                let waits = thread::spawn(move || {
                    let $ends = ends;
                    $wait
                });
                clock.wait_for_sleepers(1);
                clock.advance(NEARLY);
                eventually(|| clock.next_wake() == Some(end));
                assert!(!waits.is_finished());
                clock.advance(MOMENT);
                assert!(waits.join().unwrap());
                assert_eq!((clock.sleepers(), clock.now()), (0, end));
            });
        }
    )+};
}

mod blocking {
    use super::*;

    a_week_passes! {
        a_request_that_nobody_takes: channel, |(_server, client)| {
            is_too_late(&client.request(1).timeout(WEEK).wait())
        };
        a_request_with_a_deadline: channel, |(_server, client)| {
            let deadline = client.clock().now() + WEEK;
            is_too_late(&client.request(1).deadline(deadline).wait())
        };
        a_request_that_nobody_answers: |clock: &_| taken(clock, WEEK), |(_rctx, reply)| {
            matches!(reply.wait(), Err(RequestError::TimeoutTaken))
        };
        a_request_that_waits_for_room: full, |(_server, client)| {
            is_too_late(&client.request(1).timeout(WEEK).wait())
        };
        a_post_that_waits_for_room: full, |(_server, client)| {
            matches!(client.post(1).timeout(WEEK).wait(), Err(SendError::TimeoutQueued(1)))
        };
        a_wait_for_a_reply_with_a_timeout: channel, |(_server, client)| {
            client.req_async(1).unwrap().wait_timeout(WEEK).is_err()
        };
        a_wait_for_a_reply_with_a_deadline: channel, |(_server, client)| {
            let deadline = client.clock().now() + WEEK;
            client.req_async(1).unwrap().wait_deadline(deadline).is_err()
        };
        a_wait_for_longer_than_the_request_has: channel, |(_server, client)| {
            let outcome = submit(&client, WEEK).wait_timeout(2 * WEEK);
            is_too_late(&outcome.expect("it has ended"))
        };
        a_wait_for_many_replies: channel, |(_server, client)| {
            let mut replies = Gather::from_iter([((), client.req_async(1).unwrap())]);
            replies.wait_timeout(WEEK).is_none()
        };
        a_wait_for_many_of_which_one_has_a_deadline: channel, |(_server, client)| {
            let mut replies = Gather::from_iter([((), submit(&client, WEEK))]);
            is_too_late(&replies.wait().expect("it has ended").1)
        };
        a_wait_for_a_request: channel, |(server, _client)| {
            server.wait_timeout(WEEK).unwrap().is_none()
        };
        a_wait_for_a_request_with_a_deadline: channel, |(server, _client)| {
            let deadline = server.clock().now() + WEEK;
            server.wait_deadline(deadline).unwrap().is_none()
        };
        a_wait_for_the_caller_to_leave: |clock: &_| taken(clock, 2 * WEEK), |(mut rctx, _reply)| {
            !rctx.wait_cancelled(WEEK)
        };
        a_wait_for_the_callers_deadline: |clock: &_| taken(clock, WEEK), |(mut rctx, _reply)| {
            rctx.wait_cancelled(2 * WEEK)
        };
        a_thread_that_sleeps: ManualClock::clock, |clock| {
            let end = clock.now() + WEEK;
            clock.wait_until(end);
            clock.now() == end
        };
    }
}

mod asynchronous {
    use super::*;

    a_week_passes! {
        a_request_that_nobody_takes: channel, |(_server, client)| {
            is_too_late(&block_on(client.request(1).timeout(WEEK)))
        };
        a_request_that_nobody_answers: |clock: &_| taken(clock, WEEK), |(_rctx, reply)| {
            matches!(block_on(reply), Err(RequestError::TimeoutTaken))
        };
        a_request_that_waits_for_room: full, |(_server, client)| {
            is_too_late(&block_on(client.request(1).timeout(WEEK)))
        };
        a_submission_that_waits_for_room: full, |(_server, client)| {
            let submitted = block_on(client.request(1).timeout(WEEK).submit());
            matches!(submitted, Err(SendError::TimeoutQueued(1)))
        };
        a_post_that_waits_for_room: full, |(_server, client)| {
            matches!(block_on(client.post(1).timeout(WEEK)), Err(SendError::TimeoutQueued(1)))
        };
        a_wait_for_many_of_which_one_has_a_deadline: channel, |(_server, client)| {
            let mut replies = Gather::from_iter([((), submit(&client, WEEK))]);
            is_too_late(&tests::ends::next(&mut replies).expect("it has ended").1)
        };
        a_wait_for_the_callers_deadline: |clock: &_| taken(clock, WEEK), |(mut rctx, _reply)| {
            block_on(rctx.cancelled());
            rctx.is_cancelled()
        };
        a_task_that_sleeps: ManualClock::clock, |clock| {
            let end = clock.now() + WEEK;
            block_on(clock.sleep_until(end)).unwrap();
            clock.now() == end
        };
    }
}
