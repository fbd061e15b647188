//! The start of a system.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ump::internal::timeout_at;

#[cfg(feature = "config")]
use crate::system::report::config_error::ConfigError;
use crate::system::{
    build::plan::plan,
    build::{builder::Builder, definition::Definition},
    report::error::{StartError, StartFailure},
    run::component::{Component, Inner},
    run::directory::Directory,
    run::launch::{Launching, Place},
    run::operation::Operation,
    run::stop::stop,
    run::system::System,
    supervise::instance_record::InstanceRecord,
    supervise::supervision::{InstanceSupervisor, Supervision},
};
use crate::{Stop, wait::executor::executor_is_blocked};

impl System {
    /// Returns a [`Builder`], which defines and starts a system.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// Starts the components one after the other: each after the components that it needs,
    /// otherwise in the order of definition. A component has started when `init` of all its
    /// handlers has finished. All components have to start in the time `within`.
    ///
    /// # Errors
    /// See [`StartError`]. If a component does not start, the error contains its name and the
    /// reason. The components that had started have been stopped by then, dependents first, within
    /// the rest of this time and the [grace](Self::grace).
    ///
    /// # Cancel safety
    /// If the operation is dropped before it is ready, the components end by themselves, because no
    /// clients of them remain.
    pub fn start(self, within: Duration) -> Operation<Result<System, StartError>> {
        Operation::new(start(self, within))
    }
}

async fn start(builder: Builder, within: Duration) -> Result<System, StartError> {
    #[cfg(feature = "config")]
    let builder = configured(builder)?;
    let order = plan(&builder.definitions, &builder.groups)?;
    let starting = Starting::new(builder, order, within);
    let inner = &starting.inner;
    for (place, &number) in inner.order.iter().enumerate() {
        if let Err((instance, why)) = starting.bring_up(place, number).await {
            let stopped = stop(Arc::clone(inner), Stop::Refuse, starting.deadline).await;
            return Err(StartError::Component {
                component: inner.components[number].name.to_string(),
                instance,
                why,
                stopped: Box::new(stopped),
            });
        }
    }
    Ok(System::new(starting.inner))
}

#[cfg(feature = "config")]
fn configured(mut builder: Builder) -> Result<Builder, ConfigError> {
    for config in std::mem::take(&mut builder.configs) {
        let Builder {
            grace,
            definitions,
            groups,
            ..
        } = &mut builder;
        config.apply(grace, definitions, groups)?;
    }
    Ok(builder)
}

struct Starting {
    inner: Arc<Inner>,
    builder: Builder,
    within: Duration,
    /// `None` if the deadline is later than the clock can represent.
    deadline: Option<Instant>,
}

impl Starting {
    fn new(builder: Builder, order: Box<[usize]>, within: Duration) -> Self {
        let groups: Vec<_> = builder
            .groups
            .iter()
            .map(|group| (&group.members, Arc::new(Supervision::new(group.clone()))))
            .collect();
        let component = |definition: &Definition| Component {
            name: Arc::clone(&definition.name),
            needs: definition.attributes.needs.clone().into(),
            supervision: groups
                .iter()
                .find(|(members, _)| members.iter().any(|member| **member == *definition.name))
                .map(|(_, supervision)| Arc::clone(supervision)),
            instances: OnceLock::new(),
            is_up: AtomicBool::new(false),
        };
        let clock = builder.time.clock.clone();
        let deadline = clock.now().checked_add(within);
        let inner = Arc::new(Inner {
            components: builder.definitions.iter().map(component).collect(),
            order,
            clock,
            grace: builder.grace,
            failures: Arc::default(),
        });
        for (_, supervision) in &groups {
            let system: Weak<Inner> = Arc::downgrade(&inner);
            supervision.belong_to(system);
        }
        Self {
            inner,
            builder,
            within,
            deadline,
        }
    }

    /// Starts the component with the index `number`, which is at the position `place` in the order
    /// of start. If one of its instances does not start, returns the number of that instance and
    /// the reason.
    async fn bring_up(&self, place: usize, number: usize) -> Result<(), (usize, StartFailure)> {
        let component = &self.inner.components[number];
        let mut made = Vec::new();
        let mut instances = Vec::new();
        let mut refusal = None;
        for instance in 0..self.builder.definitions[number].attributes.count() {
            match self.launch(place, number, instance) {
                Ok(launching) => {
                    made.push(launching.made);
                    instances.push(launching.instance);
                }
                Err(why) => {
                    refusal = Some((instance, why));
                    break;
                }
            }
        }
        // From here on a stop finds these instances, even if the start fails.
        let instances = component.instances.get_or_init(|| instances.into());
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let late = || {
            if executor_is_blocked() {
                StartFailure::Blocked(self.within)
            } else {
                StartFailure::Late(self.within)
            }
        };
        let Inner { clock, .. } = &*self.inner;
        for (instance, made) in made.into_iter().enumerate() {
            let made = timeout_at(clock, self.deadline, made).await;
            made.unwrap_or_else(|| Err(late()))
                .map_err(|why| (instance, why))?;
        }
        for (number, instance) in instances.iter().enumerate() {
            match timeout_at(clock, self.deadline, instance.started()).await {
                Some(Ok(())) => instance.record.start(clock.now()),
                Some(Err(_)) => {
                    let why = match instance.ended().await {
                        Ok(()) => StartFailure::Stopped,
                        Err(error) => StartFailure::Failed(error),
                    };
                    return Err((number, why));
                }
                None => return Err((number, late())),
            }
        }
        // ORDERING: Release pairs with the Acquire loads in `Inner::find_up` and `of_component`.
        component.is_up.store(true, Ordering::Release);
        Ok(())
    }

    fn launch(
        &self,
        place: usize,
        number: usize,
        instance: usize,
    ) -> Result<Launching, StartFailure> {
        let component = &self.inner.components[number];
        let definition = &self.builder.definitions[number];
        let record = Arc::<InstanceRecord>::default();
        let supervisor = InstanceSupervisor {
            component: Arc::clone(&component.name),
            instance,
            place,
            record: Arc::clone(&record),
            failures: Arc::clone(&self.inner.failures),
            supervision: component.supervision.clone(),
        };
        let launching = (definition.launcher)(Place {
            component: Arc::clone(&component.name),
            instance,
            needs: Arc::clone(&component.needs),
            attributes: definition.attributes.clone(),
            supervisor: Arc::new(supervisor),
            on_stall: self.builder.on_stall.clone(),
            on_failure: self.builder.on_failure.clone(),
            record,
            directory: Directory::new(&self.inner),
            time: self.builder.time.clone(),
            #[cfg(feature = "tokio")]
            runtime: self.builder.runtime.clone(),
        })?;
        if let Some(group) = &component.supervision {
            let instance = &launching.instance;
            group.add(
                place,
                instance.stopper.clone(),
                Arc::clone(&instance.record),
            );
        }
        Ok(launching)
    }
}
