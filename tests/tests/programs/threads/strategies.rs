//! Strategies for random programs.

use proptest::{collection::vec, option, prelude::*};

use super::{Ask, Deadline, Handle, Race, Serve, Take, Way};
use crate::program::spin;

pub(crate) fn races() -> impl Strategy<Value = Race> {
    let asks = || vec(ask(), 0..12);
    (
        option::of(1..=2_usize),
        spin(),
        [asks(), asks()],
        vec(serve(), 1..=2),
    )
        .prop_map(|(capacity, spin, clients, servers)| Race {
            capacity,
            spin,
            clients,
            servers,
        })
}

fn ask() -> impl Strategy<Value = Ask> {
    let way = prop_oneof![
        4 => Just(Way::Req),
        4 => Just(Way::Areq),
        1 => Just(Way::ReqAsync),
        2 => Just(Way::Wait),
        2 => Just(Way::Await),
        2 => Just(Way::Keep),
        2 => Just(Way::Leave),
        2 => Just(Way::LeaveSoon),
        2 => Just(Way::Post),
    ];
    let deadline = prop_oneof![
        6 => Just(Deadline::None),
        1 => Just(Deadline::Past),
        3 => (0..100_u16).prop_map(Deadline::Soon),
        1 => Just(Deadline::Far),
    ];
    let handle = prop_oneof![
        6 => Just(Handle::Reply),
        1 => Just(Handle::Fail),
        1 => Just(Handle::DropContext),
        1 => Just(Handle::Panic),
        1 => Just(Handle::Later),
    ];
    let bool = |weight| prop_oneof![3 => Just(false), weight => Just(true)];
    (way, bool(1), bool(1), deadline, handle).prop_map(
        |(way, urgent, if_room, deadline, handle)| {
            let plain = matches!(way, Way::Req | Way::Areq | Way::ReqAsync);
            Ask {
                way,
                urgent: urgent && !plain,
                if_room: if_room && !plain,
                deadline: if plain { Deadline::None } else { deadline },
                handle,
            }
        },
    )
}

fn serve() -> impl Strategy<Value = Serve> {
    let take = prop_oneof![
        3 => Just(Take::Wait),
        3 => Just(Take::AsyncWait),
        1 => (1..4_usize).prop_map(Take::Many),
        1 => (1..4_usize).prop_map(Take::AsyncMany),
        1 => Just(Take::TryPop),
        1 => Just(Take::NoTime),
        1 => Just(Take::Leave),
    ];
    // The last way waits, so no worker spins.
    let takes = vec(take, 0..4).prop_map(|mut takes| {
        takes.push(Take::Wait);
        takes
    });
    (takes, option::weighted(0.3, 0..12_usize)).prop_map(|(takes, quota)| Serve { takes, quota })
}
