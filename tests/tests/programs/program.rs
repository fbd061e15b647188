//! The steps of programs, and their random generation.

use proptest::{collection::vec, option, prelude::*, strategy::Union};
use ump::Spin;

/// A channel and the steps on it.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) capacity: Option<usize>,
    pub(crate) spin: Spin,
    pub(crate) before: Before,
    /// Whether the counters are compared after each step. Reading them has an effect: entered
    /// requests are sorted.
    pub(crate) watched: bool,
    pub(crate) steps: Vec<Step>,
}

/// The history of the channel before the program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Before {
    Nothing,
    /// Tasks have served tasks, so they may yield before they register.
    Tasks,
    /// A thread has served a task, so it expects direct handoff.
    Thread,
}

/// A step. The numbers choose among the existing objects; without any the step does nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    CloneClient(u8),
    DropClient(u8),
    Upgrade,
    Ask {
        client: u8,
        kind: RequestKind,
        options: Options,
        /// Whether the request is polled at once.
        poll: bool,
    },
    /// Posts several at once.
    PostMany {
        size: u8,
        options: Options,
    },
    PollAsking(u8, Waker),
    DropAsking(u8),

    PollReply(u8, Waker),
    TryGet(u8),
    WaitNoTime(u8),
    /// Blocks, so this step runs only if there is an outcome.
    Wait(u8),
    DropReply(u8),

    TryPop,
    /// Blocks, so this step runs only if there is a request. Otherwise the call waits for no time.
    Take,
    Next,
    TakeMany(u8),
    PollServer(Waker),
    Receive(Receive, bool),
    PollReceiving(u8, Waker),
    DropReceiving(u8),
    DropServer,

    Reply(u8),
    Fail(u8),
    Answer(u8, bool),
    DropContext(u8),
    Panic(u8),
    IsCancelled(u8),
    Watch(u8),
    PollWatching(u8, Waker),
    DropWatching(u8),

    /// The near deadline has passed.
    Pass,
    Look,
}

/// A way of making a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RequestKind {
    Areq,
    Await,
    Submit,
    Post,
    /// Calls without a task: these block, so they do not wait for room.
    ReqAsync,
    SubmitNow,
    PostNow,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) urgent: bool,
    pub(crate) if_room: bool,
    pub(crate) deadline: Deadline,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Deadline {
    None,
    Past,
    /// A deadline that passes when the program says so.
    Near,
    Far,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Receive {
    One,
    Many(u8),
    Stream,
}

/// The waker with which a task is polled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waker {
    Same,
    Fresh,
}

pub(crate) fn programs(steps: usize) -> impl Strategy<Value = Program> {
    let before = prop_oneof![
        2 => Just(Before::Nothing),
        2 => Just(Before::Tasks),
        1 => Just(Before::Thread),
    ];
    (
        prop_oneof![Just(None), (1..=3_usize).prop_map(Some)],
        spin(),
        before,
        any::<bool>(),
        vec(step(), 1..steps),
    )
        .prop_map(|(capacity, spin, before, watched, steps)| Program {
            capacity,
            spin,
            before,
            watched,
            steps,
        })
}

/// Programs with many waiters, many of them urgent.
pub(crate) fn urgent_programs(steps: usize) -> impl Strategy<Value = Program> {
    let urgent = |urgent| {
        (1..24_u8, near()).prop_map(move |(size, deadline)| Step::PostMany {
            size: if urgent { size } else { 1 + size / 8 },
            options: Options {
                urgent,
                if_room: false,
                deadline,
            },
        })
    };
    let step = prop_oneof![
        6 => urgent(true),
        4 => urgent(false),
        4 => (0..40_u8).prop_map(Step::TakeMany),
        4 => Just(Step::TryPop),
        4 => Just(Step::Take),
        2 => receive(),
        3 => polled(Step::PollReceiving),
        1 => any::<u8>().prop_map(Step::DropReceiving),
        1 => Just(Step::Pass),
        1 => ask(),
        1 => polled(Step::PollAsking),
        1 => any::<u8>().prop_map(Step::DropAsking),
    ];
    (spin(), any::<bool>(), vec(step, 1..steps)).prop_map(|(spin, watched, steps)| Program {
        capacity: None,
        spin,
        before: Before::Nothing,
        watched,
        steps,
    })
}

/// Programs in which many senders wait for room, and some leave.
pub(crate) fn waiting_programs(steps: usize) -> impl Strategy<Value = Program> {
    let step = prop_oneof![
        8 => ask(),
        6 => polled(Step::PollAsking),
        4 => any::<u8>().prop_map(Step::DropAsking),
        1 => any::<u8>().prop_map(Step::DropReply),
        2 => Just(Step::TryPop),
        1 => (0..4_u8).prop_map(Step::TakeMany),
        1 => Just(Step::Pass),
    ];
    (1..=2_usize, spin(), any::<bool>(), vec(step, 1..steps)).prop_map(
        |(capacity, spin, watched, steps)| Program {
            capacity: Some(capacity),
            spin,
            before: Before::Nothing,
            watched,
            steps,
        },
    )
}

fn near() -> impl Strategy<Value = Deadline> {
    prop_oneof![4 => Just(Deadline::None), 1 => Just(Deadline::Near)]
}

pub(crate) fn spin() -> impl Strategy<Value = Spin> {
    prop_oneof![
        Just(Spin::Adaptive),
        Just(Spin::Never),
        Just(Spin::UpTo(std::time::Duration::from_micros(2))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<u8>;
    let clients = [
        (2, which().prop_map(Step::CloneClient).boxed()),
        (2, which().prop_map(Step::DropClient).boxed()),
        (1, Just(Step::Upgrade).boxed()),
        (36, ask().boxed()),
        (20, polled(Step::PollAsking)),
        (4, which().prop_map(Step::DropAsking).boxed()),
        (16, polled(Step::PollReply)),
        (4, which().prop_map(Step::TryGet).boxed()),
        (1, which().prop_map(Step::WaitNoTime).boxed()),
        (2, which().prop_map(Step::Wait).boxed()),
        (4, which().prop_map(Step::DropReply).boxed()),
    ];
    let server = [
        (5, Just(Step::TryPop).boxed()),
        (8, Just(Step::Take).boxed()),
        (3, Just(Step::Next).boxed()),
        (3, (0..5_u8).prop_map(Step::TakeMany).boxed()),
        (4, waker().prop_map(Step::PollServer).boxed()),
        (10, receive().boxed()),
        (14, polled(Step::PollReceiving)),
        (4, which().prop_map(Step::DropReceiving).boxed()),
        (1, Just(Step::DropServer).boxed()),
    ];
    let contexts = [
        (16, which().prop_map(Step::Reply).boxed()),
        (4, which().prop_map(Step::Fail).boxed()),
        (
            4,
            (which(), any::<bool>())
                .prop_map(|(n, ok)| Step::Answer(n, ok))
                .boxed(),
        ),
        (3, which().prop_map(Step::DropContext).boxed()),
        (1, which().prop_map(Step::Panic).boxed()),
        (3, which().prop_map(Step::IsCancelled).boxed()),
        (3, which().prop_map(Step::Watch).boxed()),
        (4, polled(Step::PollWatching)),
        (1, which().prop_map(Step::DropWatching).boxed()),
    ];
    let others = [(1, Just(Step::Pass).boxed()), (2, Just(Step::Look).boxed())];
    let all = clients
        .into_iter()
        .chain(server)
        .chain(contexts)
        .chain(others);
    Union::new_weighted(all.collect())
}

fn polled(step: fn(u8, Waker) -> Step) -> BoxedStrategy<Step> {
    (any::<u8>(), waker())
        .prop_map(move |(which, waker)| step(which, waker))
        .boxed()
}

fn waker() -> impl Strategy<Value = Waker> {
    prop_oneof![4 => Just(Waker::Same), 1 => Just(Waker::Fresh)]
}

fn receive() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        Just(Receive::One),
        (0..5_u8).prop_map(Receive::Many),
        Just(Receive::Stream),
    ];
    (what, any::<bool>()).prop_map(|(what, poll)| Step::Receive(what, poll))
}

fn ask() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(RequestKind::Areq),
        3 => Just(RequestKind::Await),
        2 => Just(RequestKind::Submit),
        1 => Just(RequestKind::Post),
        3 => Just(RequestKind::ReqAsync),
        1 => Just(RequestKind::SubmitNow),
        1 => Just(RequestKind::PostNow),
    ];
    let poll = prop_oneof![1 => Just(false), 4 => Just(true)];
    (any::<u8>(), kind, options(), poll).prop_map(|(client, kind, options, poll)| Step::Ask {
        client,
        kind,
        options,
        poll,
    })
}

fn options() -> impl Strategy<Value = Options> {
    let deadline = prop_oneof![
        8 => Just(Deadline::None),
        1 => Just(Deadline::Past),
        3 => Just(Deadline::Near),
        2 => Just(Deadline::Far),
    ];
    let urgent = prop_oneof![2 => Just(false), 1 => Just(true)];
    let if_room = option::weighted(0.2, Just(()));
    (urgent, if_room, deadline).prop_map(|(urgent, if_room, deadline)| Options {
        urgent,
        if_room: if_room.is_some(),
        deadline,
    })
}
