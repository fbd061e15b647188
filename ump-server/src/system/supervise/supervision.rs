//! The reaction to failures of a component's handlers, alone or in a group.
//!
//! All of it runs on the thread or task of the worker whose handler failed, before that worker
//! continues. No thread supervises, so none has to be running for it, and no code here waits.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use crate::system::{
    model::group::{Escalation, Group, Strategy},
    report::failure::Failure,
    supervise::failures::Failures,
    supervise::instance_record::InstanceRecord,
};
use crate::{
    Decision, JoinErrorKind, Stop, Stopper, WorkerState, WorkerStatus,
    sync::Mutex,
    worker::failure_policy::{Next, Supervisor},
    worker::on_panic,
};

/// The supervisor of an instance of a component.
pub(in crate::system) struct InstanceSupervisor {
    pub(in crate::system) component: Arc<str>,
    pub(in crate::system) instance: usize,
    /// The position of the component in the order of start.
    pub(in crate::system) place: usize,
    pub(in crate::system) record: Arc<InstanceRecord>,
    pub(in crate::system) failures: Arc<Failures>,
    pub(in crate::system) supervision: Option<Arc<Supervision>>,
}

impl Supervisor for InstanceSupervisor {
    fn failed(&self, failure: &JoinErrorKind, now: Instant, own: Next) -> Next {
        let why = self.record.fail(failure.to_string());
        let next = match &self.supervision {
            Some(group) => group.decide(self.place, failure, now),
            None => own,
        };
        self.record.note(now, why.clone(), Decision::of(&next));
        if let Next::End(end) = &next {
            let why = match (end, &self.supervision) {
                // For a group, the failure names the group that gave up.
                (JoinErrorKind::GaveUp(_), None) => {
                    format!("it failed too often; the last failure: {why}")
                }
                _ => why,
            };
            self.failures.note(Failure {
                component: self.component.to_string(),
                instance: self.instance,
                why,
                group: self
                    .supervision
                    .as_ref()
                    .map(|group| group.terms.name.clone()),
            });
            // The failure is recorded first, so a caller that observes the end can read the reason.
            if let Some(group) = &self.supervision {
                group.stop();
            }
        }
        next
    }
}

/// The instances of a running system.
pub(in crate::system) trait ForEachInstance: Send + Sync {
    /// Calls `each` for all instances that are launched, those of dependents before those of what
    /// they need.
    fn for_each_instance(&self, each: &mut dyn FnMut(&Stopper, &InstanceRecord));
}

/// A group at work.
pub(in crate::system) struct Supervision {
    terms: Group,
    failures: Mutex<on_panic::RestartCounter>,
    /// The instances that are launched, in the order of start.
    members: Mutex<Vec<GroupMember>>,
    system: OnceLock<Weak<dyn ForEachInstance>>,
}

#[derive(Clone)]
struct GroupMember {
    /// The place of its component in the order of start.
    place: usize,
    stopper: Stopper,
    record: Arc<InstanceRecord>,
}

impl GroupMember {
    /// Stops the member because its group has given up. Records that, unless the member is ending
    /// already.
    fn stop_for(stopper: &Stopper, record: &InstanceRecord, group: &str) {
        let is_ending = |status: &WorkerStatus| {
            matches!(status.state, WorkerState::Ending | WorkerState::Ended)
        };
        if !stopper.workers().iter().all(is_ending) {
            record.stop(group);
        }
        stopper.stop(Stop::Refuse);
    }
}

impl Supervision {
    pub(in crate::system) fn new(terms: Group) -> Self {
        Self {
            failures: Mutex::new(on_panic::RestartCounter::new(terms.restart.clone())),
            members: Mutex::default(),
            system: OnceLock::new(),
            terms,
        }
    }

    pub(in crate::system) fn name(&self) -> &str {
        &self.terms.name
    }

    pub(in crate::system) fn belong_to(&self, system: Weak<dyn ForEachInstance>) {
        let _ = self.system.set(system);
    }

    pub(in crate::system) fn add(
        &self,
        place: usize,
        stopper: Stopper,
        record: Arc<InstanceRecord>,
    ) {
        let member = GroupMember {
            place,
            stopper,
            record,
        };
        self.members.lock().push(member);
    }

    /// Decides what follows the failure of a handler of the component at this position in the order
    /// of start.
    fn decide(&self, place: usize, failure: &JoinErrorKind, now: Instant) -> Next {
        let pause: Option<Duration> = self.failures.lock().count(now);
        let Some(pause) = pause else {
            return Next::End(JoinErrorKind::GaveUp(Box::new(failure.clone())));
        };
        for member in self.members.lock().clone() {
            let is_concerned = match self.terms.strategy {
                Strategy::OneForOne => false,
                Strategy::RestForOne => member.place > place,
                // Its own instance too, because that may be a pool. The failed worker still
                // rebuilds its handler only once.
                Strategy::OneForAll => true,
            };
            if is_concerned {
                let renews = member.stopper.renew();
                debug_assert!(renews, "components are made by factories");
            }
        }
        Next::Restart(pause)
    }

    /// Stops the group or the whole system, dependents first.
    fn stop(&self) {
        match self.terms.escalation {
            Escalation::Group => {
                let members = self.members.lock().clone();
                for GroupMember {
                    stopper, record, ..
                } in members.iter().rev()
                {
                    GroupMember::stop_for(stopper, record, self.name());
                }
            }
            Escalation::System => {
                let Some(system) = self.system.get().and_then(Weak::upgrade) else {
                    return;
                };
                system.for_each_instance(&mut |stopper, record| {
                    GroupMember::stop_for(stopper, record, self.name());
                });
            }
        }
    }
}
