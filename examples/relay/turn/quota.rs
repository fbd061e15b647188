//! How many allocations there may be, of a user and of all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Limits;

/// The quotas. All workers share one.
#[derive(Clone, Debug)]
pub(crate) struct Quota(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    by_user: HashMap<Arc<str>, usize>,
}

/// The right to an allocation. It ends with its drop.
#[derive(Debug)]
pub(super) struct Permit {
    quota: Quota,
    user: Arc<str>,
}

/// Which quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuotaReached {
    User,
    Total,
}

impl Quota {
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            limits,
            used: Mutex::default(),
        }))
    }

    /// Returns the number of allocations.
    pub(crate) fn used(&self) -> usize {
        self.lock().total
    }

    pub(super) fn acquire(&self, user: &Arc<str>) -> Result<Permit, QuotaReached> {
        let mut used = self.lock();
        if used.by_user.get(user).copied().unwrap_or(0) >= self.0.limits.allocations_per_user {
            return Err(QuotaReached::User);
        }
        if used.total >= self.0.limits.allocations {
            return Err(QuotaReached::Total);
        }
        used.total += 1;
        *used.by_user.entry(Arc::clone(user)).or_default() += 1;
        Ok(Permit {
            quota: self.clone(),
            user: Arc::clone(user),
        })
    }

    /// The counts are right even if a thread has panicked meanwhile.
    fn lock(&self) -> MutexGuard<'_, Used> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.quota.lock();
        used.total -= 1;
        if let Some(count) = used.by_user.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                used.by_user.remove(&self.user);
            }
        }
    }
}
