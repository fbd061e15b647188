//! What a test sees of a simulation's tasks.

use std::time::Instant;

use super::{Event, SimulatedNetwork, Simulation, Spawn};
use crate::sans_io::{Interface, IntoTask, Task, TaskAddress};

impl<T> Simulation<T>
where
    T: Task,
    T::Io: Interface<Net: SimulatedNetwork>,
    Spawn<T>: IntoTask<T>,
    Event<T>: Send + 'static,
{
    /// Returns the virtual time, for tasks that need it when they are created.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Returns a task, unless it has ended.
    #[must_use]
    pub fn task(&self, at: TaskAddress) -> Option<&T> {
        self.hosts.get(at.worker)?.engine.group().get(at.task)
    }
}
