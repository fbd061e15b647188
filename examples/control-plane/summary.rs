//! The summary at the end.

use std::{fmt, time::Duration};

use ump_server::system::ComponentStatus;

use crate::{
    feed::Lines, line::SessionState, neighbours::NeighbourStatus, speaker::SessionStatus,
    statistics::Report, table::Count, time::Hms,
};

#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) lines: Lines,
    pub(crate) passed: Duration,
    pub(crate) statuses: Vec<NeighbourStatus>,
    /// The sessions with real neighbours.
    pub(crate) sessions: Vec<SessionStatus>,
    pub(crate) count: Count,
    pub(crate) report: Report,
    /// The end of the busiest minute, since the first line.
    pub(crate) busiest: Option<Duration>,
    pub(crate) components: Vec<ComponentStatus>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lines {
            read,
            processed,
            errors,
            blank,
            ..
        } = self.lines;
        writeln!(
            f,
            "lines      {read} read, {processed} processed, {errors} errors, {blank} blank or comments"
        )?;
        writeln!(f, "time       {}", Hms(self.passed))?;
        let count = &self.count;
        writeln!(
            f,
            "routes     {} of IPv4, {} of IPv6, {} paths to them",
            count.v4, count.v6, count.paths
        )?;
        writeln!(f, "{}", self.report)?;
        if let (Some(end), Some(minute)) = (self.busiest, self.report.busiest) {
            let updates = minute.counters.updates();
            writeln!(
                f,
                "busiest    {updates} updates in the minute before {}",
                Hms(end)
            )?;
        }
        let established = |status: &&NeighbourStatus| status.state == SessionState::Established;
        writeln!(
            f,
            "neighbours {}, {} established",
            self.statuses.len(),
            self.statuses.iter().filter(established).count()
        )?;
        for status in &self.statuses {
            writeln!(f, "  {status}")?;
        }
        if !self.sessions.is_empty() {
            writeln!(f, "sessions")?;
        }
        for session in &self.sessions {
            writeln!(f, "  {session}")?;
        }
        writeln!(f, "components")?;
        for ComponentStatus {
            name, instances, ..
        } in &self.components
        {
            for (number, instance) in instances.iter().enumerate() {
                let requests = &instance.requests;
                writeln!(
                    f,
                    "  {name:<10} {number} {:>5} accepted {:>5} answered {:>3} failed",
                    requests.accepted, requests.replied, requests.failed,
                )?;
            }
        }
        Ok(())
    }
}
