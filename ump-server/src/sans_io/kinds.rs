//! Tasks of several types in one group.

/// Defines a task that is one of several types of tasks, so that they are in one
/// [`Group`](crate::sans_io::Group), and share its turns.
///
/// It writes three enums with a variant for each type: of the tasks, of their commands, and of
/// their events. The types must have the same network and the same bus messages. A task that one of
/// them spawns may be of any type: the [`Spawn`](crate::sans_io::Interface::Spawn) of each has to
/// implement [`IntoTask`](crate::sans_io::IntoTask) for the enum.
///
/// ```
/// # use std::time::Instant;
/// use ump_server::{sans_io::{Input, Io, NoNetwork, Output, Task, Unused}, task_kinds};
/// # use ump_server::sans_io::{Group, GroupOutput};
///
/// # #[derive(Default)]
/// struct Counter(/* … */ u64, Option<u64>);
/// # #[derive(Default)]
/// struct Greeter(/* … */ Option<String>);
/// # macro_rules! task {
/// #     ($task:ty, $command:ty, $event:ty, $on:expr, $pop:expr) => {
/// #         impl Task for $task {
/// #             type Io = Io<$command, $event, Unused, Unused, NoNetwork>;
/// #             fn on_tick(&mut self, _: Instant) {}
/// #             fn on_input(&mut self, _: Instant, input: Input<'_, Self::Io>) {
/// #                 let Input::App(command) = input;
/// #                 $on(self, command);
/// #             }
/// #             fn pop_output(&mut self, _: Instant) -> Option<Output<Self::Io>> {
/// #                 $pop(self).map(Output::App)
/// #             }
/// #             fn next_deadline(&self) -> Option<Instant> { None }
/// #         }
/// #     };
/// # }
/// # task!(Counter, u64, u64,
/// #     |it: &mut Counter, n| { it.0 += n; it.1 = Some(it.0); }, |it: &mut Counter| it.1.take());
/// # task!(Greeter, &'static str, String,
/// #     |it: &mut Greeter, name| it.0 = Some(format!("hello {name}")), |it: &mut Greeter| it.0.take());
///
/// task_kinds! {
///     /// All tasks of this program.
///     enum AnyTask, AnyCommand, AnyEvent {
///         Counter(Counter),
///         Greeter(Greeter),
///     }
/// }
///
/// let now = Instant::now();
/// let mut group: Group<AnyTask> = Group::new();
/// let counter = group.spawn(now, AnyTask::Counter(Counter::default())).unwrap();
/// let greeter = group.spawn(now, AnyTask::Greeter(Greeter::default())).unwrap();
/// # let mut turn = group.begin_turn(now);
/// # assert!(group.next_output(&mut turn).is_none());
/// group.on_input(now, counter, Input::App(AnyCommand::Counter(2))).unwrap();
/// group.on_input(now, greeter, Input::App(AnyCommand::Greeter("you"))).unwrap();
///
/// let mut turn = group.begin_turn(now);
/// let mut events = Vec::new();
/// while let Some(output) = group.next_output(&mut turn) {
///     if let GroupOutput::Task(_, Output::App(event)) = output {
///         events.push(event);
///     }
/// }
/// assert!(matches!(&events[..], [AnyEvent::Counter(2), AnyEvent::Greeter(it)] if it == "hello you"));
/// ```
///
/// A command of the wrong variant is a mistake of its sender. A group refuses it, and gives it
/// back: [`InputRefused::WrongKind`](crate::sans_io::InputRefused::WrongKind).
#[macro_export]
macro_rules! task_kinds {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $tasks:ident, $commands:ident, $events:ident {
            $first:ident($first_task:ty) $(, $kind:ident($task:ty))* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility enum $tasks {
            #[allow(missing_docs)]
            $first($first_task),
            $(#[allow(missing_docs)] $kind($task),)*
        }

        /// The commands of the tasks.
        $visibility enum $commands {
            #[allow(missing_docs)]
            $first(<<$first_task as $crate::sans_io::Task>::Io as $crate::sans_io::Interface>::Command),
            $(
                #[allow(missing_docs)]
                $kind(<<$task as $crate::sans_io::Task>::Io as $crate::sans_io::Interface>::Command),
            )*
        }

        /// The events of the tasks.
        $visibility enum $events {
            #[allow(missing_docs)]
            $first(<<$first_task as $crate::sans_io::Task>::Io as $crate::sans_io::Interface>::Event),
            $(
                #[allow(missing_docs)]
                $kind(<<$task as $crate::sans_io::Task>::Io as $crate::sans_io::Interface>::Event),
            )*
        }

        const _: () = {
            use ::std::{borrow::Cow, option::Option, time::Instant};
            use $crate::sans_io::{Input, Interface, IntoTask, Io, Output, Shutdown, Task};

            type TheFirst = <$first_task as Task>::Io;

            impl $tasks {
                fn command_of<'a, I>(
                    input: Input<'a, <Self as Task>::Io>,
                    command: impl FnOnce($commands) -> Option<I::Command>,
                ) -> Option<Input<'a, I>>
                where
                    I: Interface<
                        Bus = <TheFirst as Interface>::Bus,
                        Net = <TheFirst as Interface>::Net,
                    >,
                {
                    Option::Some(match input {
                        Input::Net(input) => Input::Net(input),
                        Input::Bus(message) => Input::Bus(message),
                        Input::App(it) => Input::App(command(it)?),
                    })
                }

                fn output_of<I>(
                    output: Output<I>,
                    event: impl FnOnce(I::Event) -> $events,
                ) -> Output<<Self as Task>::Io>
                where
                    I: Interface<
                        Bus = <TheFirst as Interface>::Bus,
                        Net = <TheFirst as Interface>::Net,
                        Spawn: IntoTask<Self>,
                    >,
                {
                    match output {
                        Output::Net(output) => Output::Net(output),
                        Output::Bus(output) => Output::Bus(output),
                        Output::App(it) => Output::App(event(it)),
                        Output::Spawn(spawn) => Output::Spawn(spawn.into_task()),
                        Output::Done => Output::Done,
                    }
                }
            }

            impl Task for $tasks {
                type Io = Io<
                    $commands,
                    $events,
                    <TheFirst as Interface>::Bus,
                    $tasks,
                    <TheFirst as Interface>::Net,
                >;

                fn on_tick(&mut self, now: Instant) {
                    match self {
                        Self::$first(task) => task.on_tick(now),
                        $(Self::$kind(task) => task.on_tick(now),)*
                    }
                }

                fn on_input(&mut self, now: Instant, input: Input<'_, Self::Io>) {
                    #[allow(unreachable_patterns)]
                    match self {
                        Self::$first(task) => {
                            let input = Self::command_of(input, |it| match it {
                                $commands::$first(command) => Option::Some(command),
                                _ => Option::None,
                            });
                            if let Option::Some(input) = input {
                                task.on_input(now, input);
                            }
                        }
                        $(Self::$kind(task) => {
                            let input = Self::command_of(input, |it| match it {
                                $commands::$kind(command) => Option::Some(command),
                                _ => Option::None,
                            });
                            if let Option::Some(input) = input {
                                task.on_input(now, input);
                            }
                        })*
                    }
                }

                fn pop_output(&mut self, now: Instant) -> Option<Output<Self::Io>> {
                    match self {
                        Self::$first(task) => {
                            Option::Some(Self::output_of(task.pop_output(now)?, $events::$first))
                        }
                        $(Self::$kind(task) => {
                            Option::Some(Self::output_of(task.pop_output(now)?, $events::$kind))
                        })*
                    }
                }

                fn next_deadline(&self) -> Option<Instant> {
                    match self {
                        Self::$first(task) => task.next_deadline(),
                        $(Self::$kind(task) => task.next_deadline(),)*
                    }
                }

                fn on_shutdown(&mut self, now: Instant) -> Shutdown {
                    match self {
                        Self::$first(task) => task.on_shutdown(now),
                        $(Self::$kind(task) => task.on_shutdown(now),)*
                    }
                }

                fn accepts(&self, command: &$commands) -> bool {
                    #[allow(unreachable_patterns)]
                    match (self, command) {
                        (Self::$first(task), $commands::$first(command)) => task.accepts(command),
                        $((Self::$kind(task), $commands::$kind(command)) => task.accepts(command),)*
                        _ => false,
                    }
                }

                fn name(&self) -> Cow<'static, str> {
                    match self {
                        Self::$first(task) => task.name(),
                        $(Self::$kind(task) => task.name(),)*
                    }
                }
            }
        };
    };
}
