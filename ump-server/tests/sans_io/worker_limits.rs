//! Workers that are blocked, full, stopped or rebuilt: nothing grows, hangs or is lost uncounted.

use std::{
    collections::VecDeque,
    future::{Future, IntoFuture},
    pin::pin,
    sync::mpsc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use ump_server::{
    OnPanic, Restart,
    sans_io::{
        BusOutput, Component, Controller, ControllerBuilder, Engine, Input, Io, Limits, NoNetwork,
        NoSockets, Output, Placement, Receive, Refused, Report, Request, Shutdown, Spawn, Task,
        TaskAddress, Turned, UdpSockets, Unused,
    },
    thread::Builder,
    ump::RequestError,
};

use crate::support::{Act, Said, Scripted, address};

const MINUTE: Duration = Duration::from_secs(60);

fn builder(workers: usize) -> ControllerBuilder {
    ControllerBuilder::new().workers(workers.try_into().unwrap())
}

/// Reports the length of each packet.
#[derive(Default)]
struct Logs(VecDeque<usize>);

impl Task for Logs {
    type Io = Io<Unused, usize>;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, Self::Io>) {
        let Input::Net(packet) = input;
        self.0.push_back(packet.payload.len());
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
        self.0.pop_front().map(Output::App)
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

#[test]
fn packets_to_a_worker_without_room_for_reports_are_dropped_and_counted() {
    const PACKETS: u64 = 1_000;
    let controller = builder(1)
        .reports(1)
        .start(|_| Ok(UdpSockets::new()))
        .unwrap();
    controller.spawn(Logs::default()).wait().unwrap();
    let client = controller.client(0);
    for _ in 0..PACKETS {
        let packet = Receive::new(address(9), [7]);
        client.post(Request::Receive(packet)).wait().unwrap();
    }
    // Another request, so that all packets have been handled.
    controller.spawn(Logs::default()).wait().unwrap();
    let stats = controller.status()[0].stats;
    let kept = stats.received - stats.receive_dropped;
    assert_eq!(stats.received, PACKETS);
    // The inbox, and a few that were handled before the queue of reports was full.
    assert!(kept < 80, "{kept} packets wait, without a limit");
    assert!(controller.stop(MINUTE).wait().is_clean());
}

/// Sends messages, reports those that it gets, and stays in its next call until it is let go.
#[derive(Default)]
struct Node {
    outputs: VecDeque<Output<NodeIo>>,
    gate: Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>,
}

type NodeIo = Io<Order, u64, u64, Node, NoNetwork>;

enum Order {
    Nothing,
    Wait(mpsc::Sender<()>, mpsc::Receiver<()>),
    Send(TaskAddress),
    SpawnTwo,
}

impl Task for Node {
    type Io = NodeIo;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, NodeIo>) {
        match input {
            Input::App(Order::Nothing) => {}
            Input::App(Order::Wait(begun, let_go)) => self.gate = Some((begun, let_go)),
            Input::App(Order::Send(to)) => {
                let send = BusOutput::Send { to, message: 7 };
                self.outputs.push_back(Output::Bus(send));
            }
            Input::App(Order::SpawnTwo) => {
                let two = [(); 2].map(|()| Output::Spawn(Node::default()));
                self.outputs.extend(two);
            }
            Input::Bus(message) => self.outputs.push_back(Output::App(message.message)),
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<NodeIo>> {
        if let Some((begun, let_go)) = self.gate.take() {
            begun.send(()).unwrap();
            let _ = let_go.recv();
        }
        self.outputs.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

/// Keeps the worker of a task inside of a turn, until the sender is used or dropped.
fn hold(controller: &Controller<Node>, task: TaskAddress) -> mpsc::Sender<()> {
    let (begin, begun) = mpsc::channel();
    let (let_go, gate) = mpsc::channel();
    let wait = Order::Wait(begin, gate);
    controller.command(task, wait).post().wait().unwrap();
    begun.recv().unwrap();
    let_go
}

#[test]
fn a_message_wakes_a_worker_whose_queue_was_full_of_a_withdrawn_request() {
    let controller = builder(2).capacity(1).start(|_| Ok(NoSockets)).unwrap();
    let [a, b] = [0, 1].map(|n| controller.spawn_on(n, Node::default()).wait().unwrap());
    let let_go = hold(&controller, b);
    {
        let ask = controller.command(b, Order::Nothing).into_future();
        let mut ask = pin!(ask);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(ask.as_mut().poll(&mut cx).is_pending());
        // Now there is no room for a request that wakes the worker.
        controller.command(a, Order::Send(b)).wait().unwrap();
    }
    drop(let_go);
    let report = controller.next_report().wait_timeout(MINUTE);
    let expected = Report::Event { from: b, event: 7 };
    assert_eq!(report, Some(expected));
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn a_spawned_task_that_another_worker_refuses_is_counted() {
    let controller = builder(2)
        .limits(Limits::new().tasks(2))
        .place_spawns(Placement::LeastLoaded)
        .start(|_| Ok(NoSockets))
        .unwrap();
    let [parent, _, other] =
        [0, 0, 1].map(|n| controller.spawn_on(n, Node::default()).wait().unwrap());
    let let_go = hold(&controller, other);
    controller.command(parent, Order::SpawnTwo).wait().unwrap();
    drop(let_go);
    // Behind the two tasks.
    controller.command(other, Order::Nothing).wait().unwrap();
    let status = controller.status();
    let tasks: Vec<_> = status.iter().map(|worker| worker.tasks).collect();
    let dropped: u64 = status.iter().map(|it| it.stats.spawn_dropped).sum();
    assert_eq!((&tasks[..], dropped), (&[2, 2][..], 1));
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn a_task_of_a_rebuilt_worker_never_has_the_address_of_an_earlier_one() {
    let restart = OnPanic::Restart(Restart::new().pause(Duration::ZERO, Duration::ZERO));
    let controller: Controller<Scripted> = builder(1)
        .on_panic(restart)
        .start(|_| Ok(NoSockets))
        .unwrap();
    let before = controller.spawn(Scripted::default()).wait().unwrap();
    controller.command(before, Act::Panic).wait().unwrap_err();
    let after = controller.spawn(Scripted::default()).wait().unwrap();
    assert_ne!(before, after);
    let refused = controller
        .command(before, Act::Say(vec![1]))
        .wait()
        .unwrap_err();
    assert!(
        matches!(refused, RequestError::App(Refused::NoTask(_))),
        "{refused:?}"
    );
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn what_a_task_spawns_while_it_shuts_down_is_shut_down_too() {
    let (report, reports) = mpsc::channel();
    let mut engine: Engine<Scripted, _> = Engine::new(Limits::new(), NoSockets, move |it| {
        let _ = report.send(it);
    });
    let now = Instant::now();
    let parent = Scripted {
        lingers: true,
        ..Scripted::default()
    };
    let parent = engine.spawn(now, parent).unwrap();
    engine.shut_down();
    while engine.turn(now) == Turned::Again {}
    for output in [Output::Spawn(Scripted::default()), Output::Done] {
        engine.command(now, parent, Act::Do(output)).unwrap();
        while engine.turn(now) == Turned::Again {}
    }
    assert!(engine.is_empty(), "{:?} are left", engine.tasks());
    let shut_down = reports.try_iter().filter(|report| {
        let event = Said::ShutDown;
        matches!(report, Report::Event { event: it, .. } if *it == event)
    });
    assert_eq!(shut_down.count(), 2);
}

/// Says a number when it is shut down, or panics.
struct Last {
    number: Option<u64>,
    ends: bool,
}

impl Task for Last {
    type Io = Io<Unused, u64, Unused, Unused, NoNetwork>;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, _: Input<'_, Self::Io>) {}

    fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
        let ends = std::mem::take(&mut self.ends);
        self.number.filter(|_| ends).map(Output::App)
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn on_shutdown(&mut self, _: Instant) -> Shutdown {
        assert!(self.number.is_some(), "as told");
        self.ends = true;
        Shutdown::Ready
    }
}

#[test]
fn a_panic_at_the_end_of_a_loop_does_not_lose_the_last_outputs_of_the_other_tasks() {
    let (report, reports) = mpsc::channel();
    let (client, handle) = Builder::new()
        .spawn_with(move |cx| {
            let report = report.clone();
            let report = move |it| drop(report.send(it));
            Ok(Component::<Last, _>::new(
                cx,
                Limits::new(),
                NoSockets,
                report,
            ))
        })
        .unwrap();
    for number in [None, Some(1), None, Some(2)] {
        let task = Last {
            number,
            ends: false,
        };
        client.ask(Spawn(task)).wait().unwrap();
    }
    drop(client);
    assert!(handle.join().is_err());
    let said = reports.try_iter().filter_map(|report| match report {
        Report::Event { event, .. } => Some(event),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), [1, 2]);
}
