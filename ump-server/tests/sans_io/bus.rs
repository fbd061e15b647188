//! The bus between end-points, and messages between tasks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use ump_server::{
    bus::{Bus, Channel, Delivery, NotSent},
    sans_io::{
        BusInput, BusOutput, Controller, ControllerBuilder, Engine, Limits, NoSockets, Output,
        Report, TaskAddress, TaskId, Turned,
    },
};

use crate::support::{Act, Said, Scripted, bus};

#[test]
fn a_full_mailbox_gives_the_message_back_and_counts_it() {
    let bus = Bus::new(2, 2);
    let [a, b] = [0, 1].map(|n| bus.endpoint(n));
    assert_eq!(a.send_all(1, &mut vec![1]), 1);
    let mut more = vec![2, 3, 4];
    assert_eq!(a.send_all(1, &mut more), 1);
    assert_eq!(more, [3, 4]);
    assert_eq!(a.send(1, 5), Err(NotSent::Full(5)));
    let dropped = Delivery {
        delivered: 0,
        dropped: 1,
    };
    assert_eq!(a.broadcast(6), dropped);
    let mut taken = Vec::new();
    b.take(&mut taken);
    assert_eq!(taken, [1, 2]);
    let stats = b.stats();
    assert_eq!((stats.accepted, stats.full, stats.queued), (2, 4, 0));
    assert_eq!(a.send(1, 7), Ok(()));
}

#[test]
fn a_closed_endpoint_gives_the_message_back() {
    let bus = Bus::new(2, 8);
    let [a, b] = [0, 1].map(|n| bus.endpoint(n));
    b.subscribe(Channel(1));
    a.send(1, 1).unwrap();
    b.close();
    assert_eq!(a.send(1, 2), Err(NotSent::Closed(2)));
    assert_eq!(a.send(9, 3), Err(NotSent::Closed(3)));
    assert_eq!(a.publish(Channel(1), 4), Delivery::default());
    assert_eq!(b.stats().closed, 2);
    b.open();
    a.send(1, 5).unwrap();
    let mut taken = Vec::new();
    b.take(&mut taken);
    assert_eq!(taken, [5]);
}

#[test]
fn the_callback_is_called_once_for_each_batch() {
    let bus = Bus::new(2, 8);
    let [a, b] = [0, 1].map(|n| bus.endpoint(n));
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    a.send(1, 0).unwrap();
    b.on_message(move || {
        counted.fetch_add(1, Relaxed);
    });
    assert_eq!(calls.load(Relaxed), 1);
    let mut taken = Vec::new();
    for batch in 0..3 {
        for n in 0..3 {
            a.send(1, n).unwrap();
        }
        assert_eq!(calls.load(Relaxed), if batch == 0 { 1 } else { batch + 1 });
        b.take(&mut taken);
    }
}

#[test]
fn no_wakeup_is_lost_between_two_threads() {
    const COUNT: u64 = 200_000;
    let bus = Bus::new(2, 64);
    let (a, b) = (bus.endpoint(0), bus.endpoint(1));
    let receiver = thread::spawn(move || {
        let me = thread::current();
        b.on_message(move || me.unpark());
        let mut next = 0;
        let mut taken = Vec::new();
        while next < COUNT {
            b.take(&mut taken);
            if taken.is_empty() {
                thread::park();
            }
            for n in taken.drain(..) {
                assert_eq!(n, next);
                next += 1;
            }
        }
    });
    let mut n = 0;
    while n < COUNT {
        match a.send(1, n) {
            Ok(()) => n += 1,
            Err(_) => thread::yield_now(),
        }
    }
    receiver.join().unwrap();
}

/// Engines that share a bus, with what their tasks say.
struct Engines {
    engine: Engine<Scripted, NoSockets>,
    said: std::sync::mpsc::Receiver<Report<Said>>,
    now: Instant,
}

impl Engines {
    fn new(limits: Limits) -> Self {
        let (say, said) = std::sync::mpsc::channel();
        let engine = Engine::new(limits, NoSockets, move |report| say.send(report).unwrap());
        Self {
            engine,
            said,
            now: Instant::now(),
        }
    }

    fn spawn(&mut self) -> TaskAddress {
        let task = self.engine.spawn(self.now, Scripted::default()).unwrap();
        self.run();
        TaskAddress { worker: 0, task }
    }

    fn act(&mut self, task: TaskId, act: Act) {
        self.engine.command(self.now, task, act).unwrap();
        self.run();
    }

    fn run(&mut self) {
        while self.engine.turn(self.now) == Turned::Again {}
    }

    /// Returns who has got which message.
    fn got(&self) -> Vec<(TaskAddress, BusInput<u64>)> {
        let reports = self.said.try_iter();
        let got = reports.filter_map(|report| match report {
            Report::Event {
                from,
                event: Said::Bus(message),
            } => Some((from, message)),
            _ => None,
        });
        got.collect()
    }
}

#[test]
fn tasks_of_one_engine_talk_to_each_other() {
    let mut engines = Engines::new(Limits::new());
    let [a, b, c] = [(); 3].map(|()| engines.spawn());
    for task in [a, b] {
        engines.act(task.task, bus(BusOutput::Subscribe(Channel(1))));
    }
    let message = |channel, message| BusInput {
        from: a,
        channel,
        message,
    };
    engines.act(a.task, bus(BusOutput::Send { to: c, message: 1 }));
    assert_eq!(engines.got(), [(c, message(None, 1))]);
    engines.act(a.task, bus(BusOutput::Broadcast(2)));
    assert_eq!(
        engines.got(),
        [(b, message(None, 2)), (c, message(None, 2))]
    );
    let publish = BusOutput::Publish {
        channel: Channel(1),
        message: 3,
    };
    engines.act(a.task, bus(publish));
    assert_eq!(engines.got(), [(b, message(Some(Channel(1)), 3))]);
    engines.act(b.task, bus(BusOutput::Unsubscribe(Channel(1))));
    engines.act(a.task, bus(publish));
    assert_eq!(engines.got(), []);
}

#[test]
fn a_message_to_an_ended_task_is_counted() {
    let mut engines = Engines::new(Limits::new());
    let [a, b] = [(); 2].map(|()| engines.spawn());
    engines.act(b.task, Act::Do(ump_server::sans_io::Output::Done));
    engines.act(a.task, bus(BusOutput::Send { to: b, message: 1 }));
    assert_eq!(engines.got(), []);
    assert_eq!(engines.engine.stats().bus_dropped, 1);
}

mod feedback {
    use std::{collections::VecDeque, time::Instant};

    use ump_server::sans_io::{BusOutput, Input, Io, NoNetwork, Output, Task, Unused};

    /// Answers each message with two.
    #[derive(Default)]
    pub(crate) struct Echo(VecDeque<BusOutput<u8>>);

    impl Task for Echo {
        type Io = Io<(), Unused, u8, Unused, NoNetwork>;

        fn on_tick(&mut self, _: Instant) {}

        fn on_input(&mut self, _: Instant, input: Input<'_, Self::Io>) {
            match input {
                Input::App(()) => self.0.push_back(BusOutput::Broadcast(1)),
                Input::Bus(message) => {
                    let to = message.from;
                    self.0.extend([BusOutput::Send { to, message: 1 }; 2]);
                }
            }
        }

        fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
            self.0.pop_front().map(Output::Bus)
        }

        fn next_deadline(&self) -> Option<Instant> {
            None
        }
    }
}

#[test]
fn feedback_between_tasks_does_not_grow_without_bound() {
    let now = Instant::now();
    let limits = Limits::new().inbox(8);
    let mut engine = Engine::new(limits, NoSockets, |_| unreachable!("they have no events"));
    let first = engine.spawn(now, feedback::Echo::default()).unwrap();
    engine.spawn(now, feedback::Echo::default()).unwrap();
    engine.command(now, first, ()).unwrap();
    for _ in 0..10_000 {
        assert_eq!(engine.turn(now), Turned::Again);
    }
    let stats = engine.stats();
    assert!(stats.bus_dropped > 1_000, "{stats:?}");
    assert!(stats.bus_queued <= 65_536 + 2, "{stats:?}");
    assert!(stats.group.inputs > 10_000, "{stats:?}");
}

#[test]
fn a_burst_of_messages_waits_for_a_task_that_keeps_up() {
    const COUNT: u64 = 1_000;
    let limits = Limits::new().inbox(4).batch(8);
    let controller: Controller<Scripted> = ControllerBuilder::new()
        .workers(2.try_into().unwrap())
        .limits(limits)
        .start(|_| Ok(NoSockets))
        .unwrap();
    let to = controller.spawn_on(1, Scripted::default()).wait().unwrap();
    let send = |message| Output::Bus(BusOutput::Send { to, message });
    let sender = Scripted {
        outputs: (0..COUNT).map(send).collect(),
        ..Scripted::default()
    };
    controller.spawn_on(0, sender).wait().unwrap();
    for n in 0..COUNT {
        match controller.next_report().wait().unwrap() {
            Report::Event {
                event: Said::Bus(got),
                ..
            } => assert_eq!(got.message, n),
            report => panic!("{report:?}"),
        }
    }
    let status = controller.status();
    assert!(
        status.iter().all(|worker| worker.stats.bus_dropped == 0),
        "{status:?}"
    );
    let report = controller.stop(std::time::Duration::from_secs(60)).wait();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn tasks_of_several_workers_talk_to_each_other() {
    let controller: Controller<Scripted> = ControllerBuilder::new()
        .workers(3.try_into().unwrap())
        .start(|_| Ok(NoSockets))
        .unwrap();
    let tasks = [0, 1, 2].map(|worker| {
        controller
            .spawn_on(worker, Scripted::default())
            .wait()
            .unwrap()
    });
    for task in tasks {
        let subscribe = bus(BusOutput::Subscribe(Channel(1)));
        controller.command(task, subscribe).wait().unwrap();
        // A second command returns after the turn of the first one.
        controller.command(task, Act::Say(vec![0])).wait().unwrap();
    }
    let send = BusOutput::Send {
        to: tasks[2],
        message: 1,
    };
    let publish = BusOutput::Publish {
        channel: Channel(1),
        message: 3,
    };
    for output in [send, BusOutput::Broadcast(2), publish] {
        controller.command(tasks[0], bus(output)).wait().unwrap();
    }
    let mut got = Vec::new();
    while got.len() < 5 {
        match controller.next_report().wait().unwrap() {
            Report::Event {
                from,
                event: Said::Bus(message),
            } => got.push((from, message.from, message.message)),
            Report::Event { .. } => {}
            report => panic!("{report:?}"),
        }
    }
    got.sort_unstable();
    let expected = [(1, 2), (1, 3), (2, 1), (2, 2), (2, 3)];
    assert_eq!(
        got,
        expected.map(|(to, message)| (tasks[to], tasks[0], message))
    );
    let report = controller.stop(std::time::Duration::from_secs(60)).wait();
    assert!(report.is_clean(), "{report}");
}
