//! The launch of a component's loops, for handlers of any type.

use std::{future::Future, num::NonZeroUsize, pin::Pin, sync::Arc};

use ump::Clock;

use crate::system::{
    model::attributes::Attributes,
    report::error::{BoxError, StartFailure},
    run::component::Instance,
    run::component_context::{ComponentContext, Site},
    run::directory::Directory,
    supervise::instance_record::InstanceRecord,
};
use crate::{
    Context, SpawnError, TestClock, thread,
    watchdog::Stall,
    worker::{failure_event::OnFailure, failure_policy::Supervisor, options::Launched},
};

/// The parameters for the launch of an instance.
pub(in crate::system) struct Place {
    pub(in crate::system) component: Arc<str>,
    pub(in crate::system) instance: usize,
    pub(in crate::system) needs: Arc<[String]>,
    pub(in crate::system) attributes: Attributes,
    pub(in crate::system) supervisor: Arc<dyn Supervisor>,
    pub(in crate::system) on_stall: Option<StallHook>,
    pub(in crate::system) on_failure: OnFailure,
    pub(in crate::system) record: Arc<InstanceRecord>,
    pub(in crate::system) directory: Directory,
    pub(in crate::system) time: Time,
    #[cfg(feature = "tokio")]
    pub(in crate::system) runtime: Option<tokio::runtime::Handle>,
}

/// The hook that the watchdogs of all components call.
pub(in crate::system) type StallHook = Arc<dyn Fn(&Stall) + Send + Sync>;

/// The clock of a system, and the test clock that it belongs to, if any.
#[derive(Clone, Debug, Default)]
pub(in crate::system) struct Time {
    pub(in crate::system) clock: Clock,
    pub(in crate::system) test_clock: Option<TestClock>,
}

/// An instance whose handlers are being created.
pub(in crate::system) struct Launching {
    pub(in crate::system) instance: Instance,
    /// Resolves when all its handlers have been created.
    pub(in crate::system) made: Pin<Box<dyn Future<Output = Result<(), StartFailure>> + Send>>,
}

/// Launches one instance per call.
pub(in crate::system) type Launcher =
    Box<dyn Fn(Place) -> Result<Launching, StartFailure> + Send + Sync>;

/// Returns a launcher of instances on threads.
pub(in crate::system) fn threads<H, Shape>(
    factory: impl Fn(
        &ComponentContext<'_, H::Request, H::Reply, H::Error, H::Timer>,
    ) -> Result<H, BoxError>
    + Send
    + Sync
    + 'static,
) -> Launcher
where
    H: thread::IntoService<Shape> + 'static,
{
    let factory = Arc::new(factory);
    Box::new(move |place| {
        let (builder, workers, record) = place.on_threads();
        let launched = builder.launch(workers, place.make(Arc::clone(&factory)))?;
        Ok(Launching::new(launched, record))
    })
}

/// Returns a launcher of instances on threads that take at most `max` requests at a time.
pub(in crate::system) fn batches<H>(
    max: NonZeroUsize,
    factory: impl Fn(
        &ComponentContext<'_, H::Request, H::Reply, H::Error, H::Timer>,
    ) -> Result<H, BoxError>
    + Send
    + Sync
    + 'static,
) -> Launcher
where
    H: thread::BatchService + 'static,
{
    let factory = Arc::new(factory);
    Box::new(move |place| {
        let (builder, workers, record) = place.on_threads();
        let make = place.make(Arc::clone(&factory));
        let launched = builder.launch_batches(workers, max, make)?;
        Ok(Launching::new(launched, record))
    })
}

/// Returns a launcher of instances on tasks.
#[cfg(feature = "tokio")]
pub(in crate::system) fn tasks<H, Shape>(
    factory: impl Fn(
        &ComponentContext<'_, H::Request, H::Reply, H::Error, H::Timer>,
    ) -> Result<H, BoxError>
    + Send
    + Sync
    + 'static,
) -> Launcher
where
    H: crate::task::IntoService<Shape> + Send + 'static,
{
    let factory = Arc::new(factory);
    Box::new(move |place| {
        let (builder, workers, record) = place.on_tasks();
        let launched = builder.launch(workers, place.make(Arc::clone(&factory)))?;
        Ok(Launching::new(launched, record))
    })
}

/// Applies to a builder the settings that loops on threads and on tasks have in common.
macro_rules! common {
    ($builder:expr, $place:expr) => {{
        let Place {
            attributes,
            time,
            supervisor,
            on_stall,
            on_failure,
            record,
            ..
        } = $place;
        let mut builder = $builder
            .name($place.loop_name())
            .clock(time.clock.clone())
            .supervisor(Arc::clone(supervisor))
            .on_failures(on_failure.clone())
            // The report of a stop contains the age of each call in progress.
            .timed();
        if let Some(clock) = &time.test_clock {
            builder = builder.test_clock(clock);
        }
        if let Some(capacity) = attributes.capacity {
            builder = builder.capacity(capacity);
        }
        if let Some(spin) = attributes.spin {
            builder = builder.spin(spin);
        }
        if let Some(timeout) = attributes.default_timeout {
            builder = builder.default_timeout(timeout);
        }
        if let Some(policy) = &attributes.on_panic {
            builder = builder.on_panic(policy.clone());
        }
        if let Some(threshold) = attributes.watchdog {
            builder = builder.watchdog(threshold);
        }
        if attributes.watchdog.is_some() {
            let (record, clock) = (Arc::clone(record), time.clock.clone());
            let hook = on_stall.clone();
            builder = builder.on_stall(move |stall| {
                record.note_stall(clock.now(), stall);
                if let Some(hook) = &hook {
                    hook(stall);
                }
            });
        }
        builder
    }};
}

impl Place {
    /// Returns the builder of the threads, the number of workers if the instance is a pool, and the
    /// record of the instance.
    fn on_threads(&self) -> (thread::Builder, Option<NonZeroUsize>, Arc<InstanceRecord>) {
        let Self { attributes, .. } = self;
        let mut builder = common!(thread::Builder::new(), self);
        if let Some(bytes) = attributes.stack_size {
            builder = builder.stack_size(bytes);
        }
        #[cfg(feature = "scheduling")]
        if let Some(priority) = attributes.priority {
            builder = builder.priority(priority);
        }
        #[cfg(feature = "scheduling")]
        if let Some(cpus) = &attributes.affinity {
            let each = attributes.workers.unwrap_or(1);
            builder = builder
                .affinity(cpus.iter().copied())
                .first_thread(self.instance * each);
        }
        #[cfg(feature = "scheduling")]
        {
            builder = builder.on_refusal(attributes.on_refusal.clone());
        }
        let workers = attributes.workers.and_then(NonZeroUsize::new);
        (builder, workers, Arc::clone(&self.record))
    }

    /// Returns the builder of the tasks, the number of workers, and the record of the instance.
    #[cfg(feature = "tokio")]
    fn on_tasks(&self) -> (crate::task::Builder, NonZeroUsize, Arc<InstanceRecord>) {
        let mut builder = common!(crate::task::Builder::new(), self);
        if let Some(runtime) = &self.runtime {
            builder = builder.runtime(runtime.clone());
        }
        if let Some(timeout) = self.attributes.request_timeout {
            builder = builder.request_timeout(timeout);
        }
        if let Some(policy) = self.attributes.on_timeout {
            builder = builder.on_timeout(policy);
        }
        if let Some(budget) = self.attributes.budget {
            builder = builder.budget(budget);
        }
        let workers = self.attributes.workers.and_then(NonZeroUsize::new);
        let workers = workers.unwrap_or(NonZeroUsize::MIN);
        (builder, workers, Arc::clone(&self.record))
    }

    fn loop_name(&self) -> String {
        if self.attributes.count() > 1 {
            format!("{}-{}", self.component, self.instance)
        } else {
            self.component.to_string()
        }
    }

    /// Returns the function that creates the handlers of the loop: it calls the component's
    /// factory, and records the call and an error that the factory returns.
    fn make<S, R, E, T, H>(
        self,
        factory: Arc<
            impl Fn(&ComponentContext<'_, S, R, E, T>) -> Result<H, BoxError> + Send + Sync + 'static,
        >,
    ) -> impl Fn(&Context<S, R, E, T>) -> Result<H, BoxError> + Send + Sync + 'static
    where
        T: Send + 'static,
    {
        let Self {
            component,
            instance,
            needs,
            directory,
            record,
            ..
        } = self;
        let site = Site {
            component,
            instance,
            needs,
            directory,
        };
        move |context| {
            let timers = context.timers();
            record.make(context.worker(), context.restarts(), move || timers.len());
            let result = factory(&ComponentContext::new(context, &site));
            if let Err(refusal) = &result {
                record.refuse(refusal.to_string());
            }
            result
        }
    }
}

impl Launching {
    fn new<S, R, E, RV>(
        launched: Launched<S, R, E, RV, BoxError>,
        record: Arc<InstanceRecord>,
    ) -> Self
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
        RV: Send + 'static,
    {
        let Launched {
            client,
            handle,
            made,
        } = launched;
        Self {
            instance: Instance::new(client, handle, record),
            made: Box::pin(async move {
                for made in made {
                    made.await.map_err(SpawnError::from)?;
                }
                Ok(())
            }),
        }
    }
}
