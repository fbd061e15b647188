//! The requests to a driver.

use std::{fmt, io};

use ump::Ask;

use super::{
    GroupFull, InputRefused, Interface, NamedTask, Network, Task, TaskId, status::Expected,
};

/// A request to a driver: a [`Component`](super::Component) or a [`Runner`](super::Runner).
///
/// The messages [`Spawn`], [`Command`] and [`ShutDown`] are sent by
/// [`Client::ask`](ump::Client::ask), and have replies of their own. A received packet is
/// [posted](ump::Client::post).
pub enum Request<T: Task> {
    /// Spawns a task.
    Spawn(Box<T>),
    /// Spawns a task that a task of another worker has spawned: see
    /// [`Placement`](super::Placement).
    Placed(PlacedTask<T>),
    /// Gives a command to a task.
    Command(TaskId, <T::Io as Interface>::Command),
    /// Gives a received packet to its task. The reply says whether a task has got it.
    Receive(<<T::Io as Interface>::Net as Network>::Input<'static>),
    /// Wakes the driver: there are messages of other drivers.
    Wake,
    /// Shuts all tasks down. The reply comes when they have ended, at the latest after this time.
    ShutDown(std::time::Duration),
}

/// A task on its way to the worker that runs it. It counts as one of that worker's tasks.
pub struct PlacedTask<T> {
    pub(super) task: Box<T>,
    pub(super) expected: Expected,
}

/// A reply of a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// The task was spawned.
    Spawned(TaskId),
    /// The input was given to the task.
    Done,
    /// The tasks have ended, except for these, which did not in time.
    ShutDown(Vec<NamedTask>),
}

/// Why a driver has refused a request. The task or the command comes back.
#[non_exhaustive]
pub enum Refused<T: Task> {
    /// The driver has as many tasks as its limit.
    Full(Box<T>),
    /// The driver shuts down, and spawns no task.
    ShuttingDown(Box<T>),
    /// The task has ended, or has never existed.
    NoTask(<T::Io as Interface>::Command),
    /// The outputs of the task have not all been taken, and its inbox is full.
    InboxFull(<T::Io as Interface>::Command),
    /// The task does not [accept](Task::accepts) the command: it is one for another type of tasks.
    WrongKind(<T::Io as Interface>::Command),
    /// No task has got the packet.
    Dropped,
    /// The sockets of the driver could not be made. For the factories of
    /// [components](super::Component) and [workers](super::ControllerBuilder::start).
    Io(io::Error),
}

impl<T: Task> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ShuttingDown(_) => "ShuttingDown(..)",
            Self::NoTask(_) => "NoTask(..)",
            Self::InboxFull(_) => "InboxFull(..)",
            Self::WrongKind(_) => "WrongKind(..)",
            Self::Dropped => "Dropped",
            Self::Io(error) => return f.debug_tuple("Io").field(error).finish(),
        })
    }
}

impl<T: Task> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the driver has as many tasks as its limit",
            Self::ShuttingDown(_) => "the driver shuts down",
            Self::NoTask(_) => "the task has ended",
            Self::InboxFull(_) => "the inbox of the task is full",
            Self::WrongKind(_) => "the command is for another type of tasks",
            Self::Dropped => "no task has got the packet",
            Self::Io(error) => return error.fmt(f),
        })
    }
}

impl<T: Task> std::error::Error for Refused<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl<T: Task> From<io::Error> for Refused<T> {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
impl<T: Task> From<crate::net::Error> for Refused<T> {
    fn from(error: crate::net::Error) -> Self {
        Self::Io(error.into())
    }
}

impl<T: Task> From<GroupFull<T>> for Refused<T> {
    fn from(GroupFull(task): GroupFull<T>) -> Self {
        Self::Full(Box::new(task))
    }
}

impl<T: Task> From<InputRefused<<T::Io as Interface>::Command>> for Refused<T> {
    fn from(refused: InputRefused<<T::Io as Interface>::Command>) -> Self {
        match refused {
            InputRefused::NoTask(command) => Self::NoTask(command),
            InputRefused::Full(command) => Self::InboxFull(command),
            InputRefused::WrongKind(command) => Self::WrongKind(command),
        }
    }
}

impl<T: Task> fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn(task) => write!(f, "Spawn({})", task.name()),
            Self::Placed(placed) => write!(f, "Placed({})", placed.task.name()),
            Self::Command(id, _) => write!(f, "Command({id})"),
            Self::Receive(_) => f.write_str("Receive(..)"),
            Self::Wake => f.write_str("Wake"),
            Self::ShutDown(timeout) => write!(f, "ShutDown({timeout:?})"),
        }
    }
}

impl<T: Task> fmt::Debug for PlacedTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlacedTask({})", self.task.name())
    }
}

impl<T: Task> Request<T> {
    /// Returns the kind of the request, for reports.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Spawn(_) | Self::Placed(_) => "spawn",
            Self::Command(..) => "command",
            Self::Receive(_) => "receive",
            Self::Wake => "wake",
            Self::ShutDown(_) => "shut_down",
        }
    }
}

/// The message that spawns a task. The reply is its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spawn<T>(pub T);

impl<T: Task> Ask<Request<T>, Reply, Refused<T>> for Spawn<T> {
    type Reply = TaskId;
    type Error = Refused<T>;

    fn into_request(self) -> Request<T> {
        Request::Spawn(Box::new(self.0))
    }

    fn from_request(request: Request<T>) -> Self {
        match request {
            Request::Spawn(task) => Self(*task),
            _ => unreachable!("`into_request` makes a `Spawn`"),
        }
    }

    fn from_answer(answer: Result<Reply, Refused<T>>) -> Option<Result<TaskId, Refused<T>>> {
        match answer {
            Ok(Reply::Spawned(id)) => Some(Ok(id)),
            Ok(_) => None,
            Err(refused) => Some(Err(refused)),
        }
    }
}

/// The message that gives a command to a task. The reply says that the task has got it, or has it
/// in its inbox. If the task ends before it takes it from there, the command is dropped and
/// [counted](super::GroupStats::discarded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<C>(pub TaskId, pub C);

impl<T, C> Ask<Request<T>, Reply, Refused<T>> for Command<C>
where
    T: Task,
    T::Io: Interface<Command = C>,
{
    type Reply = ();
    type Error = Refused<T>;

    fn into_request(self) -> Request<T> {
        Request::Command(self.0, self.1)
    }

    fn from_request(request: Request<T>) -> Self {
        match request {
            Request::Command(id, command) => Self(id, command),
            _ => unreachable!("`into_request` makes a `Command`"),
        }
    }

    fn from_answer(answer: Result<Reply, Refused<T>>) -> Option<Result<(), Refused<T>>> {
        match answer {
            Ok(Reply::Done) => Some(Ok(())),
            Ok(_) => None,
            Err(refused) => Some(Err(refused)),
        }
    }
}

/// The message that shuts all tasks of a driver down. The reply comes when they have ended, and
/// their last packets are sent; at the latest after this time. It names the tasks that did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutDown(pub std::time::Duration);

impl<T: Task> Ask<Request<T>, Reply, Refused<T>> for ShutDown {
    type Reply = Vec<NamedTask>;
    type Error = Refused<T>;

    fn into_request(self) -> Request<T> {
        Request::ShutDown(self.0)
    }

    fn from_request(request: Request<T>) -> Self {
        match request {
            Request::ShutDown(timeout) => Self(timeout),
            _ => unreachable!("`into_request` makes a `ShutDown`"),
        }
    }

    fn from_answer(answer: Result<Reply, Refused<T>>) -> Option<Result<Self::Reply, Self::Error>> {
        match answer {
            Ok(Reply::ShutDown(left)) => Some(Ok(left)),
            Ok(_) => None,
            Err(refused) => Some(Err(refused)),
        }
    }
}
