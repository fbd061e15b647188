//! Checks of the outcomes of all requests.

use tests::ends::Reason;
use ump::{Executed, NoReply, PanicMessage, Stats};

use super::{Asked, Deadline, FILLS, Handle, Handled, Way};
use crate::model::Mismatch;

/// Checks that the requests of each client and lane were taken in order.
pub(super) fn check_order(handled: &[Handled]) -> Result<(), Mismatch> {
    for client in 0..2 {
        for urgent in [false, true] {
            let lane = |h: &&Handled| h.client == client && h.urgent == urgent;
            let numbers: Vec<_> = handled.iter().filter(lane).map(|h| h.number).collect();
            if !numbers.is_sorted() {
                return Err(format!(
                    "client {client}, urgent {urgent}: taken in the order {numbers:?}"
                ));
            }
        }
    }
    Ok(())
}

/// Checks that the outcomes of caller and handler are possible and agree.
pub(super) fn check(
    asked: &Asked,
    handled: &[&Handled],
    bounded: bool,
    goes: bool,
) -> Result<(), Mismatch> {
    let Asked {
        message,
        ask,
        outcome,
    } = asked;
    let taken = match handled {
        [] => None,
        [handled] => Some(handled.taken),
        _ => return Err("handled twice".to_owned()),
    };
    let plain = matches!(ask.way, Way::Req | Way::Areq | Way::ReqAsync);
    let soon = matches!(ask.deadline, Deadline::Soon(_));
    let past = ask.deadline == Deadline::Past;
    let fits = match outcome {
        None => matches!(ask.way, Way::Leave | Way::LeaveSoon | Way::Post) && !past,
        Some(Ok(of)) => {
            of == message
                && matches!(ask.handle, Handle::Reply | Handle::Later)
                && taken == Some(Some(true))
                && !past
        }
        Some(Err(failure)) => {
            let not_executed = failure.executed == Executed::No;
            let back = (not_executed && !plain).then_some(*message);
            let (fits, executed) = match &failure.why {
                Reason::App(of) => (
                    of == message && ask.handle == Handle::Fail && taken == Some(Some(true)),
                    Executed::Yes,
                ),
                Reason::NoReply(why) => {
                    let meant = match ask.handle {
                        Handle::DropContext => NoReply::Dropped,
                        Handle::Panic => NoReply::Panicked(PanicMessage::default()),
                        _ => return Err("there was a reply".to_owned()),
                    };
                    let fits = plain && why.is_none() || *why == Some(meant);
                    (fits && taken == Some(None), Executed::Perhaps)
                }
                Reason::TimeoutTaken => (
                    soon && taken.is_some_and(|taken| taken != Some(true)),
                    Executed::Perhaps,
                ),
                Reason::TimeoutQueued => (soon || past, Executed::No),
                Reason::ServerDisappeared => (goes && !past, Executed::No),
                Reason::Full => (ask.if_room && bounded && !past, Executed::No),
                Reason::Else => (false, Executed::No),
            };
            fits && failure.executed == executed
                && failure.message == back
                && (!not_executed || taken.is_none())
        }
    };
    if fits {
        Ok(())
    } else {
        Err("not possible".to_owned())
    }
}

/// Compares the counters with the outcomes; `fillers` more requests were made.
pub(super) fn check_stats(
    stats: &Stats,
    asked: &[Asked],
    handled: &[Handled],
    fillers: usize,
) -> Result<(), Mismatch> {
    let handled_fillers = handled.iter().filter(|h| h.client == FILLS).count();
    let [mut replied, mut failed, mut lost] = [handled_fillers, 0, 0];
    for asked in asked {
        let Some(handled) = handled.iter().find(|h| h.message == asked.message) else {
            continue;
        };
        match (asked.ask.handle, handled.taken) {
            (Handle::Reply | Handle::Later, Some(true)) => replied += 1,
            (Handle::Fail, Some(true)) => failed += 1,
            // A dropped post counts as handled.
            (Handle::DropContext, None) if asked.ask.way == Way::Post => replied += 1,
            _ => lost += 1,
        }
    }
    let made = asked.len() + fillers;
    let seen = [made, replied, failed, lost, made - handled.len()];
    let counted = [
        stats.accepted + stats.refused,
        stats.replied,
        stats.failed,
        stats.no_reply + stats.panicked + stats.timeout_taken + stats.cancelled_taken,
        stats.timeout_queued + stats.server_disappeared + stats.cancelled_queued + stats.refused,
    ];
    let failure = |why: fn(&Reason<usize>) -> bool| {
        let is = |a: &&Asked| matches!(&a.outcome, Some(Err(failure)) if why(&failure.why));
        asked.iter().filter(is).count() as u64
    };
    // Abandoned requests have no reported outcome.
    let agree = failure(|why| matches!(why, Reason::TimeoutTaken)) <= stats.timeout_taken
        && failure(|why| matches!(why, Reason::Full)) <= stats.refused
        && failure(|why| matches!(why, Reason::NoReply(_))) <= stats.no_reply + stats.panicked
        && stats.queued + stats.taken == 0;
    if agree && seen.map(|n| n as u64) == counted {
        Ok(())
    } else {
        Err(format!("seen: {seen:?}, {asked:?}, but counted: {stats:?}"))
    }
}
