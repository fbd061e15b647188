//! The connections that tasks are making, by sockets of tokio.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context as TaskContext, Poll, Waker},
    time::Instant,
};

use tokio::net::{TcpSocket, TcpStream};

use super::wake::{Key, WokenSockets};
use crate::{
    sans_io::{StreamConnect, TaskId},
    sync::Arc,
};

#[derive(Default)]
pub(super) struct Connects {
    connecting: HashMap<u64, Connecting>,
    timeouts: BTreeSet<(Instant, u64)>,
    /// The number of connections that tasks have begun to make.
    begun: u64,
}

struct Connecting {
    owner: TaskId,
    token: u64,
    peer: SocketAddr,
    waker: Waker,
    timeout: Option<Instant>,
    future: Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>,
}

/// The end of an attempt to connect.
pub(super) struct Connected {
    pub(super) owner: TaskId,
    pub(super) token: u64,
    pub(super) peer: SocketAddr,
    pub(super) result: io::Result<TcpStream>,
}

impl Connects {
    /// Begins to connect.
    pub(super) fn begin(
        &mut self,
        owner: TaskId,
        how: StreamConnect,
        now: Instant,
        woken: &Arc<WokenSockets>,
    ) -> io::Result<()> {
        let socket = socket(how)?;
        self.begun += 1;
        let number = self.begun;
        let waker = woken.waker(Key::Connecting(number));
        waker.wake_by_ref();
        let timeout = how.timeout.and_then(|it| now.checked_add(it));
        self.timeouts.extend(timeout.map(|at| (at, number)));
        let connecting = Connecting {
            owner,
            token: how.token,
            peer: how.peer,
            waker,
            timeout,
            future: Box::pin(socket.connect(how.peer)),
        };
        self.connecting.insert(number, connecting);
        Ok(())
    }

    /// Looks whether an attempt has ended, and registers its waker.
    pub(super) fn poll(&mut self, number: u64) -> Option<Connected> {
        let connecting = self.connecting.get_mut(&number)?;
        let mut cx = TaskContext::from_waker(&connecting.waker);
        match connecting.future.as_mut().poll(&mut cx) {
            Poll::Ready(result) => self.end(number, result),
            Poll::Pending => None,
        }
    }

    fn end(&mut self, number: u64, result: io::Result<TcpStream>) -> Option<Connected> {
        let Connecting {
            owner,
            token,
            peer,
            timeout,
            ..
        } = self.connecting.remove(&number)?;
        if let Some(at) = timeout {
            self.timeouts.remove(&(at, number));
        }
        Some(Connected {
            owner,
            token,
            peer,
            result,
        })
    }

    /// Returns an attempt that has taken too long.
    pub(super) fn next_expired(&mut self, now: Instant) -> Option<Connected> {
        let &(at, number) = self.timeouts.first()?;
        if at > now {
            return None;
        }
        self.end(number, Err(io::ErrorKind::TimedOut.into()))
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timeouts.first().map(|(at, _)| *at)
    }

    /// Closes the sockets with which a task that has ended was connecting.
    pub(super) fn give_up(&mut self, task: TaskId) {
        let timeouts = &mut self.timeouts;
        self.connecting.retain(|number, connecting| {
            let is_kept = connecting.owner != task;
            if let (false, Some(at)) = (is_kept, connecting.timeout) {
                timeouts.remove(&(at, *number));
            }
            is_kept
        });
    }

    pub(super) fn len(&self) -> usize {
        self.connecting.len()
    }
}

/// Creates the socket of a connection that is to be made.
fn socket(how: StreamConnect) -> io::Result<TcpSocket> {
    let socket = match how.peer {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    if let Some(local) = how.local {
        socket.bind(local)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sans_io::{Group, Input, Io, Output, Task};

    struct Idle;

    impl Task for Idle {
        type Io = Io;

        fn on_tick(&mut self, _: Instant) {}

        fn on_input(&mut self, _: Instant, _: Input<'_, Io>) {}

        fn pop_output(&mut self, _: Instant) -> Option<Output<Io>> {
            None
        }

        fn next_deadline(&self) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn the_end_of_a_task_ends_its_attempts_to_connect() {
        let mut group = Group::new();
        let now = Instant::now();
        let [first, second] = [(); 2].map(|()| group.spawn(now, Idle).unwrap());
        let (mut connects, woken) = (Connects::default(), Arc::default());
        let minute = Duration::from_secs(60);
        for (owner, times) in [(first, 1), (first, 2), (second, 3)] {
            let how = StreamConnect::new(times.into(), ([127, 0, 0, 1], 9).into());
            let how = how.timeout(minute * times);
            connects.begin(owner, how, now, &woken).unwrap();
        }
        connects.give_up(first);
        assert_eq!(connects.len(), 1);
        assert_eq!(connects.next_timeout(), Some(now + 3 * minute));
        assert!(connects.next_expired(now + 2 * minute).is_none());
        let expired = connects.next_expired(now + 3 * minute).unwrap();
        assert_eq!((expired.owner, expired.token), (second, 3));
        let error = expired.result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(connects.next_timeout(), None);
    }
}
