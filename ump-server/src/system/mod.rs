//! Systems of components: named servers with attributes, which are started, looked up, supervised
//! and stopped together.
//!
//! ```
//! use std::{collections::HashMap, convert::Infallible, time::Duration};
//! use ump_server::{Stop, system::{Attributes, System}, thread};
//!
//! type Key = &'static str;
//!
//! let system = System::builder()
//!     // Replies from a map. Each instance has a channel and a state of its own.
//!     .thread("store", Attributes::new().instances(2), |_| {
//!         let mut lengths = HashMap::new();
//!         Ok(thread::reply(move |key: Key| *lengths.entry(key).or_insert_with(|| key.len())))
//!     })
//!     // Makes requests to the store, which starts before it and stops after it.
//!     .thread("front", Attributes::new().needs("store").capacity(64), |setup| {
//!         let store = setup.balancer::<Key, usize, Infallible>("store")?;
//!         Ok(thread::answer(move |key: Key| {
//!             let length = store.by_key(key).req(key);
//!             length.map(|length| format!("{key} has {length} letters")).map_err(drop)
//!         }))
//!     })
//!     .start(Duration::from_secs(5)) // the time for all components to start
//!     .wait()?; // or .await
//!
//! let front = system.client::<Key, String, ()>("front")?;
//! assert_eq!(front.req("seven").unwrap(), "seven has 5 letters");
//! assert_eq!(system.status()[1].instances[0].requests.processed(), 1);
//!
//! let report = system.stop(Stop::Drain, Duration::from_secs(5)).wait();
//! assert!(report.is_clean(), "{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Overview
//!
//! - A [`Builder`] takes the components. Each component has a name, [`Attributes`], and a factory
//!   that creates the handler from a [`ComponentContext`]. Components run on
//!   [threads](Builder::thread), on threads that take [batches](Builder::batches), or on
//!   [tasks](Builder::task). With [`workers`](Attributes::workers), each instance is a pool.
//! - [`Builder::start`] starts the system within a deadline: each component after the components
//!   that it [needs](Attributes::needs), once the `init` of these has finished. The caller blocks
//!   with [`wait`](Operation::wait), or awaits the operation. If a component does not start, the
//!   components that have started are stopped again, and the [error](StartError) names the
//!   component and the reason.
//! - Clients are looked up by name, with their types: by [`System::client`], or from elsewhere by a
//!   [`Directory`]. A [`Balancer`] chooses among the instances: in turn, by key, or the least
//!   loaded one.
//! - A [`Group`] sets which other handlers are rebuilt when a handler fails, and when the group
//!   gives up. [`System::failed`] resolves when a component has failed permanently.
//! - [`System::status`] returns the status of each component, as plain data.
//! - With the feature `config`, attributes come from a file: see `Config`.
//! - [`System::stop`] stops the components within a deadline, dependents first, and
//!   [reports](Report) which instances have not ended.
//!
//! # No thread of its own
//!
//! A system has no thread of its own. The loop that failed runs the reaction to its failure. The
//! thread or task that waits for a start or a stop runs that start or stop.

mod build;
mod model;
mod report;
mod run;
mod supervise;

pub use self::{
    build::builder::Builder,
    model::{
        attributes::Attributes,
        group::{Escalation, Group, Strategy},
    },
    report::failure::Failure,
    report::{
        error::{BoxError, LookupError, PlanError, StartError, StartFailure},
        past_failure::PastFailure,
        past_stall::PastStall,
        stop_report::{Report, StopOutcome, StoppedInstance},
    },
    run::{
        balancer::Balancer,
        component_context::ComponentContext,
        directory::Directory,
        operation::Operation,
        status::{ComponentStatus, InstanceStatus, State},
        system::System,
    },
};
#[cfg(feature = "config")]
pub use self::{build::config::Config, report::config_error::ConfigError};
