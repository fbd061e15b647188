//! The trait of tasks.

use std::{any::type_name, borrow::Cow, time::Instant};

use super::{Input, Interface, Output, Unused};

/// A protocol as a state machine, without sockets and without a clock.
///
/// A driver gives it the time and its inputs, and takes its outputs. The [module](super) has the
/// contract between the two, and an example.
///
/// A `Box<dyn Task<Io = X>>` is a task as well, so a [`Group`](super::Group) can have tasks of
/// several types with the same interface. For several interfaces see
/// [`task_kinds!`](crate::task_kinds).
pub trait Task {
    /// The types of the inputs and outputs: usually an [`Io`](super::Io).
    type Io: Interface;

    /// Handles the passing of time. Called when the [next deadline](Self::next_deadline) has
    /// passed, and perhaps at other times.
    ///
    /// Afterwards the next deadline has to be later than `now`, or none, or at least later than
    /// before. The driver reports a task whose deadline stays in the past, and calls it less and
    /// less often.
    fn on_tick(&mut self, now: Instant);

    /// Handles an input.
    fn on_input(&mut self, now: Instant, input: Input<'_, Self::Io>);

    /// Returns the next output. `None` if there is none until the next call of another method.
    fn pop_output(&mut self, now: Instant) -> Option<Output<Self::Io>>;

    /// Returns the instant at which [`on_tick`](Self::on_tick) is to be called next. `None` if the
    /// task waits for inputs only.
    ///
    /// The driver reads it when it has taken all outputs, so it may change with each call of
    /// another method.
    fn next_deadline(&self) -> Option<Instant>;

    /// Begins the end of the task, because its driver ends. Called at most once.
    ///
    /// The outputs that the task has or now makes (a last packet, for example) are still taken. A
    /// task that needs time to end returns [`Shutdown::Wait`], and goes on until its output
    /// [`Done`](Output::Done) or the deadline of its driver.
    #[allow(unused_variables)]
    fn on_shutdown(&mut self, now: Instant) -> Shutdown {
        Shutdown::Ready
    }

    /// Returns whether a command is one of this task's. The driver gives others
    /// [back](super::InputRefused::WrongKind) to their senders. The default is true.
    ///
    /// It is false for a command of another variant than the task's, if the task is one of several
    /// types: see [`task_kinds!`](crate::task_kinds). The driver calls it at any time.
    #[allow(unused_variables)]
    fn accepts(&self, command: &<Self::Io as Interface>::Command) -> bool {
        true
    }

    /// Returns a name for reports and statuses. The default is the last part of the type's name.
    ///
    /// The driver reads it when the task is spawned.
    fn name(&self) -> Cow<'static, str> {
        let path = type_name::<Self>();
        let path = path.split('<').next().unwrap_or(path);
        Cow::Borrowed(path.rsplit("::").next().unwrap_or(path))
    }
}

/// When a task ends that its driver shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// As soon as its outputs are taken.
    Ready,
    /// With its output [`Done`](Output::Done), or at the deadline of its driver.
    Wait,
}

impl<T: Task + ?Sized> Task for Box<T> {
    type Io = T::Io;

    fn on_tick(&mut self, now: Instant) {
        (**self).on_tick(now);
    }

    fn on_input(&mut self, now: Instant, input: Input<'_, Self::Io>) {
        (**self).on_input(now, input);
    }

    fn pop_output(&mut self, now: Instant) -> Option<Output<Self::Io>> {
        (**self).pop_output(now)
    }

    fn next_deadline(&self) -> Option<Instant> {
        (**self).next_deadline()
    }

    fn on_shutdown(&mut self, now: Instant) -> Shutdown {
        (**self).on_shutdown(now)
    }

    fn accepts(&self, command: &<Self::Io as Interface>::Command) -> bool {
        (**self).accepts(command)
    }

    fn name(&self) -> Cow<'static, str> {
        (**self).name()
    }
}

/// Converts a spawned value into a task `T`.
///
/// A task that spawns tasks of its own type has the type itself as
/// [`Interface::Spawn`](super::Interface::Spawn). One that spawns nothing has [`Unused`].
pub trait IntoTask<T> {
    /// Converts it.
    fn into_task(self) -> T;
}

impl<T: Task> IntoTask<T> for T {
    fn into_task(self) -> T {
        self
    }
}

impl<T: Task> IntoTask<T> for Unused {
    fn into_task(self) -> T {
        match self {}
    }
}
