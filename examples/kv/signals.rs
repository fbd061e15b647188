//! Ctrl-C, and on Unix SIGTERM: the polite ways to ask for the end.

#[cfg(unix)]
pub(crate) use self::unix::Signals;

#[cfg(not(unix))]
pub(crate) use self::other::Signals;

#[cfg(unix)]
mod unix {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// Signals are caught, and no longer deadly, from the moment this exists.
    #[derive(Debug)]
    pub(crate) struct Signals {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Signals {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        /// Waits for the next one, and says with which code a process ends that obeys it at once.
        pub(crate) async fn next(&mut self) -> i32 {
            tokio::select! {
                _ = self.interrupt.recv() => 130,
                _ = self.terminate.recv() => 143,
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use std::io;

    #[derive(Debug)]
    pub(crate) struct Signals;

    impl Signals {
        #[allow(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the next one, and says with which code a process ends that obeys it at once.
        pub(crate) async fn next(&mut self) -> i32 {
            // If it cannot be watched for, there is never one.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            130
        }
    }
}
