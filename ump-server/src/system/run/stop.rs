//! The stop of a system: dependents before the components that they need, so that queued requests
//! can still be served.
//!
//! ```text
//!                   all of its instances have ended
//!           ┌────────────────────────────────────────┐
//!           ▼                                        │
//!   stop the next component ───────────────────▶ wait for it ────▶ all have ended: report
//!                                                    │
//!                                                    │ the deadline
//!                                                    ▼
//!           reject the queued requests of all instances that are left, dependents first;
//!           wait for the grace
//!                                                    │
//!                                                    │ instances on tasks have not ended
//!                                                    ▼
//!           abort their calls in progress, wait for the grace;
//!           abort their clean-up, wait for the grace: report
//! ```

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ump::hooks::Cycle;

use crate::system::{
    report::error::LookupError,
    report::stop_report::{Report, StopOutcome, StoppedInstance},
    run::component::{Component, Inner, Instance},
    run::operation::Operation,
};
use crate::{JoinError, JoinErrorKind, Stop, wait::executor::executor_is_blocked};

/// Stops all launched instances. Without a deadline it waits for ever.
pub(in crate::system) async fn stop(
    inner: Arc<Inner>,
    how: Stop,
    deadline: Option<Instant>,
) -> Report {
    stop_these(inner, |_| true, how, deadline).await
}

/// Stops a component of a running system, and before it all components that need it.
pub(in crate::system) fn stop_component(
    inner: Arc<Inner>,
    component: &str,
    how: Stop,
    within: Duration,
) -> Result<Operation<Report>, LookupError> {
    inner.launched(component)?;
    let component = Arc::from(component);
    Ok(Operation::new(async move {
        let deadline = inner.clock.now().checked_add(within);
        stop_with_dependents(inner, component, how, deadline).await
    }))
}

/// Stops a component, and before it all components that need it.
async fn stop_with_dependents(
    inner: Arc<Inner>,
    component: Arc<str>,
    how: Stop,
    deadline: Option<Instant>,
) -> Report {
    let these = dependents(&inner, component);
    for (_, instances) in inner
        .last_first()
        .filter(|(it, _)| these.contains(&it.name))
    {
        for instance in instances.iter().filter(|it| it.outcome().is_none()) {
            instance.record.stop_alone();
        }
    }
    stop_these(inner, |it| these.contains(&it.name), how, deadline).await
}

/// Returns a component and all components that need it, directly or indirectly.
fn dependents(inner: &Inner, component: Arc<str>) -> Vec<Arc<str>> {
    let mut these = vec![component];
    // In the order of start, each component comes after the components that it needs.
    for &number in &inner.order {
        let Component { name, needs, .. } = &inner.components[number];
        if needs
            .iter()
            .any(|need| these.iter().any(|it| **it == **need))
        {
            these.push(Arc::clone(name));
        }
    }
    these
}

async fn stop_these(
    inner: Arc<Inner>,
    these: impl Fn(&Component) -> bool,
    how: Stop,
    deadline: Option<Instant>,
) -> Report {
    let began = inner.clock.now();
    let components = inner.last_first().filter(|(component, _)| these(component));
    let components: Vec<_> = components.collect();
    let mut failures = inner.failures.all();
    failures.retain(|failure| {
        let mut names = components.iter().map(|(component, _)| &*component.name);
        names.any(|name| *name == *failure.component)
    });
    let mut report = Report {
        failures,
        ..Report::default()
    };
    let mut components = components.into_iter();
    let mut left = Vec::new();
    for (component, instances) in components.by_ref() {
        left = stop_instances(component, instances, how);
        let mut is_late = false;
        for it in &mut left {
            is_late |= !it.wait(&inner, deadline).await;
        }
        if is_late {
            report.executor_was_blocked = executor_is_blocked();
            break;
        }
        report
            .instances
            .extend(left.drain(..).map(StoppingInstance::report));
    }
    // If all instances ended in time, `left` is empty.
    for it in &mut left {
        it.refuse();
    }
    for (component, instances) in components {
        let mut rest = stop_instances(component, instances, Stop::Refuse);
        for it in &mut rest {
            it.is_late = true;
        }
        left.extend(rest);
    }
    let last = inner.clock.now().checked_add(inner.grace);
    for it in &mut left {
        it.wait(&inner, last).await;
    }
    // The first round aborts the calls in progress, the second one the clean-up.
    for _ in 0..2 {
        let mut is_aborted = false;
        for it in &mut left {
            is_aborted |= it.abort();
        }
        if !is_aborted {
            break;
        }
        let last = inner.clock.now().checked_add(inner.grace);
        for it in left.iter_mut().filter(|it| it.is_aborted) {
            it.wait(&inner, last).await;
        }
    }
    report
        .instances
        .extend(left.into_iter().map(StoppingInstance::report));
    report.took = inner.clock.now().saturating_duration_since(began);
    report
}

/// An instance that has been stopped, and what its report needs.
struct StoppingInstance<'a> {
    component: &'a Component,
    number: usize,
    instance: &'a Instance,
    had_ended: bool,
    outcome: Option<Result<(), JoinError>>,
    /// Set if the instance can only end after this stop, because it waits for it.
    cycle: Option<Cycle>,
    /// Whether its queued requests were rejected because the deadline had passed.
    is_late: bool,
    /// Whether the last call of [`abort`](Self::abort) has aborted it.
    is_aborted: bool,
    /// The number of requests that were queued when it was last stopped.
    queued: u64,
}

fn stop_instances<'a>(
    component: &'a Component,
    instances: &'a [Instance],
    how: Stop,
) -> Vec<StoppingInstance<'a>> {
    let instances = instances.iter().enumerate();
    let stopping = instances.map(|(number, instance)| {
        let outcome = instance.outcome();
        let queued = instance.client.stats().queued;
        instance.stopper.stop(how);
        StoppingInstance {
            component,
            number,
            instance,
            had_ended: outcome.is_some(),
            outcome,
            cycle: None,
            is_late: false,
            is_aborted: false,
            queued,
        }
    });
    stopping.collect()
}

impl StoppingInstance<'_> {
    /// Waits until the instance has ended, or until the deadline. Returns whether it has ended, or
    /// cannot end before this stop has finished.
    async fn wait(&mut self, inner: &Inner, deadline: Option<Instant>) -> bool {
        if self.outcome.is_none() && self.cycle.is_none() {
            match self.instance.ended_by(&inner.clock, deadline).await {
                Ok(outcome) => self.outcome = outcome,
                Err(cycle) => self.cycle = Some(cycle),
            }
        }
        self.outcome.is_some() || self.cycle.is_some()
    }

    fn refuse(&mut self) {
        if self.outcome.is_none() && self.cycle.is_none() {
            self.is_late = true;
            self.queued = self.instance.client.stats().queued;
            self.instance.stopper.stop(Stop::Refuse);
        }
    }

    /// Aborts the instance if it has not ended and runs on tasks. Returns whether it did.
    fn abort(&mut self) -> bool {
        self.is_aborted = self.outcome.is_none() && self.instance.stopper.can_abort();
        if self.is_aborted {
            self.instance.stopper.stop(Stop::Abort);
        }
        self.is_aborted
    }

    fn report(self) -> StoppedInstance {
        let aborted = self.instance.stopper.aborted();
        let stopped_by = self.instance.record.stopped_by();
        let is_aborted = |error: &JoinError| *error.kind() == JoinErrorKind::Aborted;
        let how = match self.outcome {
            Some(outcome)
                if !aborted.is_empty() && outcome.as_ref().err().is_none_or(is_aborted) =>
            {
                StopOutcome::Aborted {
                    queued: self.queued,
                    in_hand: aborted,
                }
            }
            Some(Ok(())) if stopped_by.is_some() => StopOutcome::StoppedByGroup {
                group: stopped_by.unwrap_or_default(),
            },
            Some(Ok(())) if self.had_ended && self.instance.record.stopped_alone() => {
                StopOutcome::StoppedAlone
            }
            Some(Err(error)) => StopOutcome::Failed(error),
            Some(Ok(())) if self.had_ended => StopOutcome::Earlier,
            Some(Ok(())) if self.is_late && self.queued > 0 => StopOutcome::Refused {
                queued: self.queued,
            },
            Some(Ok(())) => StopOutcome::InOrder,
            None => match self.cycle {
                Some(cycle) => StopOutcome::WouldDeadlock(cycle),
                None => StopOutcome::StillRunning {
                    queued: self.queued,
                    in_hand: self
                        .instance
                        .stopper
                        .workers()
                        .into_iter()
                        .filter_map(|worker| worker.in_hand)
                        .collect(),
                },
            },
        };
        StoppedInstance {
            component: self.component.name.to_string(),
            instance: self.number,
            how,
        }
    }
}
