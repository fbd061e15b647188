//! The scheduling attributes of a loop's thread: a priority, and a CPU.
//!
//! The thread itself asks the system for them, before the handler is made. The system may refuse. A
//! refusal is never ignored silently: see [`OnRefusal`].

use std::{fmt, sync::Arc};

/// The error of an attribute that the operating system refused to a loop's thread.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, Hash)]
#[error("the operating system refused {key} {value}: {why}")]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AttributeRefused {
    /// `priority` or `affinity`.
    pub key: &'static str,
    /// The priority, or the CPU.
    pub value: usize,
    /// The reason, in the system's words.
    pub why: String,
}

/// The policy of a loop if the system refuses its thread a priority or a CPU.
///
/// A refusal cannot be ignored by oversight: [`Warn`](Self::Warn) needs a callback.
#[derive(Clone, Default)]
pub enum OnRefusal {
    /// The loop does not start, and spawning it returns an error.
    #[default]
    Error,
    /// The loop runs without the attribute. The callback is called on the loop's thread, before the
    /// handler is made.
    Warn(Arc<dyn Fn(&AttributeRefused) + Send + Sync>),
}

impl OnRefusal {
    /// Creates an [`OnRefusal::Warn`] with this callback.
    ///
    #[cfg_attr(not(feature = "scheduling"), doc = "```ignore")]
    #[cfg_attr(feature = "scheduling", doc = "```")]
    /// use ump_server::{OnRefusal, thread};
    ///
    /// let builder = thread::Builder::new()
    ///     .name("sampler")
    ///     .on_refusal(OnRefusal::warn(|refused| eprintln!("sampler: {refused}")));
    /// # let _ = builder;
    /// ```
    pub fn warn(warn: impl Fn(&AttributeRefused) + Send + Sync + 'static) -> Self {
        Self::Warn(Arc::new(warn))
    }
}

impl fmt::Debug for OnRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "Error",
            Self::Warn(_) => "Warn(..)",
        })
    }
}

/// The scheduling attributes of a loop's threads.
#[cfg(feature = "scheduling")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule {
    pub(crate) priority: Option<u8>,
    /// The CPU of each thread. After the last CPU the first one follows.
    pub(crate) affinity: Vec<usize>,
    /// The number of the loop's first thread, among those that share the CPUs.
    pub(crate) first: usize,
    pub(crate) on_refusal: OnRefusal,
}

#[cfg(feature = "scheduling")]
impl Schedule {
    /// Returns whether no attribute is set.
    pub(crate) fn is_plain(&self) -> bool {
        self.priority.is_none() && self.affinity.is_empty()
    }

    /// Asks the system for the attributes of this thread, which has this number in its loop.
    pub(crate) fn apply(&self, number: usize) -> Result<(), AttributeRefused> {
        if let Some(priority) = self.priority {
            self.settle("priority", priority.into(), system::prioritise(priority))?;
        }
        if !self.affinity.is_empty() {
            let cpu = self.affinity[(self.first + number) % self.affinity.len()];
            self.settle("affinity", cpu, system::pin(cpu))?;
        }
        Ok(())
    }

    fn settle(
        &self,
        key: &'static str,
        value: usize,
        result: Result<(), String>,
    ) -> Result<(), AttributeRefused> {
        let Err(why) = result else {
            return Ok(());
        };
        let refused = AttributeRefused { key, value, why };
        match &self.on_refusal {
            OnRefusal::Error => Err(refused),
            OnRefusal::Warn(warn) => {
                // The callback has run, so a panic of it is ignored.
                crate::catch::catch_user_panic(|| warn(&refused));
                Ok(())
            }
        }
    }
}

/// No scheduling attributes: they need the feature `scheduling`.
#[cfg(not(feature = "scheduling"))]
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule;

#[cfg(not(feature = "scheduling"))]
#[expect(
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "as with the feature"
)]
impl Schedule {
    pub(crate) fn is_plain(&self) -> bool {
        true
    }

    pub(crate) fn apply(&self, _: usize) -> Result<(), AttributeRefused> {
        Ok(())
    }
}

#[cfg(feature = "scheduling")]
mod system {
    use std::io;

    use core_affinity::CoreId;
    use thread_priority::{Error, ThreadPriority, ThreadPriorityValue};

    pub(super) fn prioritise(priority: u8) -> Result<(), String> {
        ThreadPriorityValue::try_from(priority)
            .map(ThreadPriority::Crossplatform)?
            .set_for_current()
            .map_err(|error| match error {
                Error::OS(code) => io::Error::from_raw_os_error(code).to_string(),
                other => other.to_string(),
            })
    }

    pub(super) fn pin(cpu: usize) -> Result<(), String> {
        // The width of the sets that take the CPU.
        let most = if cfg!(windows) { 64 } else { 1024 };
        // Where a CPU is only a hint, the system accepts any number, so the number is checked here.
        // On Linux the known CPUs are only those that this thread may use already, so there is no
        // check.
        let is_there = cfg!(any(target_os = "linux", target_os = "android"))
            || core_affinity::get_core_ids()
                .is_some_and(|known| known.contains(&CoreId { id: cpu }));
        if cpu >= most || !is_there {
            return Err("there is no such CPU".to_owned());
        }
        if core_affinity::set_for_current(CoreId { id: cpu }) {
            Ok(())
        } else {
            Err(io::Error::last_os_error().to_string())
        }
    }
}
