//! The inputs and outputs of a task.

use std::{fmt, marker::PhantomData};

use super::{BusInput, BusOutput, Datagrams, Network, Unused};

/// The types of a task's inputs and outputs. [`Io`] implements it.
pub trait Interface {
    /// The commands that the application sends to the task.
    type Command;
    /// The events that the task sends to the application.
    type Event;
    /// The messages between tasks.
    type Bus: Clone;
    /// The values that the task spawns: other tasks, or values that [become
    /// tasks](super::IntoTask).
    type Spawn;
    /// The kind of network.
    type Net: Network;
}

/// An [`Interface`] by its types: commands `C`, events `E`, messages between tasks `B`, spawned
/// tasks `S`, and the network `N`.
///
/// A parameter that is not named is [`Unused`], except for the network, which is [`Datagrams`].
///
/// ```
/// use ump_server::sans_io::{Io, NoNetwork, Unused};
///
/// // Commands, events and datagrams.
/// type Usual = Io<String, u64>;
/// // Commands and messages between tasks.
/// type Local = Io<String, Unused, u64, Unused, NoNetwork>;
/// # let _: Option<(Usual, Local)> = None;
/// ```
pub struct Io<C = Unused, E = Unused, B = Unused, S = Unused, N = Datagrams>(
    PhantomData<fn() -> (C, E, B, S, N)>,
);

impl<C, E, B: Clone, S, N: Network> Interface for Io<C, E, B, S, N> {
    type Command = C;
    type Event = E;
    type Bus = B;
    type Spawn = S;
    type Net = N;
}

impl<C, E, B, S, N> fmt::Debug for Io<C, E, B, S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Io")
    }
}

/// An input of a task. (The fourth kind of input, time, is [`on_tick`](super::Task::on_tick).)
pub enum Input<'a, I: Interface> {
    /// A packet, or another event of the network.
    Net(<I::Net as Network>::Input<'a>),
    /// A message of another task.
    Bus(BusInput<I::Bus>),
    /// A command of the application.
    App(I::Command),
}

impl<I: Interface> Input<'_, I> {
    /// Makes the input independent of the driver's buffers. It copies borrowed bytes only.
    #[must_use]
    pub fn into_owned(self) -> Input<'static, I> {
        match self {
            Input::Net(input) => Input::Net(<I::Net as Network>::into_owned(input)),
            Input::Bus(message) => Input::Bus(message),
            Input::App(command) => Input::App(command),
        }
    }
}

impl<I: Interface> fmt::Debug for Input<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Net(_) => "Net(..)",
            Self::Bus(_) => "Bus(..)",
            Self::App(_) => "App(..)",
        })
    }
}

/// An output of a task.
pub enum Output<I: Interface> {
    /// A packet, or another action of the network.
    Net(<I::Net as Network>::Output),
    /// A message to other tasks, or a subscription to such messages.
    Bus(BusOutput<I::Bus>),
    /// An event for the application.
    App(I::Event),
    /// Another task to run.
    Spawn(I::Spawn),
    /// The task is done. This is its last output: the driver removes the task.
    Done,
}

impl<I: Interface> fmt::Debug for Output<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Net(_) => "Net(..)",
            Self::Bus(_) => "Bus(..)",
            Self::App(_) => "App(..)",
            Self::Spawn(_) => "Spawn(..)",
            Self::Done => "Done",
        })
    }
}
