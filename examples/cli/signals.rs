//! The signals that stop a program: Ctrl-C, and SIGTERM on Unix.

#[cfg(unix)]
pub use self::unix::Signals;

#[cfg(not(unix))]
pub use self::other::Signals;

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// Catches the signals from its creation on.
    #[derive(Debug)]
    pub struct Signals {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Signals {
        /// Starts to catch the signals.
        ///
        /// # Errors
        /// Says why the operating system refuses it.
        pub fn new() -> Result<Self, String> {
            let catch = |kind| signal(kind).map_err(|e| format!("cannot watch for signals: {e}"));
            Ok(Self {
                interrupt: catch(SignalKind::interrupt())?,
                terminate: catch(SignalKind::terminate())?,
            })
        }

        /// Waits for the next signal, and returns the exit code of a process that it ends.
        pub async fn next(&mut self) -> i32 {
            tokio::select! {
                _ = self.interrupt.recv() => 130,
                _ = self.terminate.recv() => 143,
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    /// Catches Ctrl-C.
    #[derive(Debug)]
    pub struct Signals;

    impl Signals {
        #[allow(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
        /// Starts to catch the signals.
        ///
        /// # Errors
        /// None.
        pub fn new() -> Result<Self, String> {
            Ok(Self)
        }

        /// Waits for the next signal, and returns the exit code of a process that it ends.
        pub async fn next(&mut self) -> i32 {
            // Without a handler there is never a signal.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            130
        }
    }
}
