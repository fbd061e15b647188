//! Systems of components: named servers with attributes, that are started, found, watched and
//! stopped together.
//!
//! ```
//! use std::{collections::HashMap, time::Duration};
//! use ump_server::{
//!     Stop,
//!     system::{Attributes, ComponentContext, System},
//!     thread,
//! };
//!
//! type Key = &'static str;
//!
//! let system = System::builder()
//!     // Answers with what it knows. Each instance has a channel and a state of its own.
//!     .thread("store", Attributes::new().instances(2), |_: &ComponentContext<Key, usize, ()>| {
//!         let mut lengths = HashMap::new();
//!         Ok(thread::answer(move |key: Key| {
//!             Ok(*lengths.entry(key).or_insert_with(|| key.len()))
//!         }))
//!     })
//!     // Asks the store, which is up before it and stays so until it has ended.
//!     .thread("front", Attributes::new().needs("store").capacity(64), |setup: &ComponentContext<Key, String, ()>| {
//!         let store = setup.balancer::<Key, usize, ()>("store")?;
//!         Ok(thread::answer(move |key: Key| {
//!             let length = store.by_key(key).req(key).map_err(drop)?;
//!             Ok(format!("{key} has {length} letters"))
//!         }))
//!     })
//!     .start(Duration::from_secs(5)) // all have to be up by then
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
//! # In the order in which one needs it
//!
//! - A [`Builder`] takes components: a name, [`Attributes`], and a factory that makes the handler
//!   with a [`ComponentContext`]. They run on [threads](Builder::thread), on threads that take
//!   [batches](Builder::batches), or on [tasks](Builder::task); with
//!   [`workers`](Attributes::workers) each instance is a pool.
//! - It is started, within a deadline: each component after those it [needs](Attributes::needs),
//!   when the `init` of these is done. Blocking with [`wait`](Operation::wait), or awaited. If one
//!   does not come up, the others are stopped again, and the [error](StartError) says which and
//!   why.
//! - Clients are found by name, with their types: [`System::client`], or from elsewhere by a
//!   [`Directory`]. A [`Balancer`] chooses among the instances: one after the other, by key, or the
//!   one with the least to do.
//! - A [`Group`] says what else is made anew when a handler fails, and when to give up.
//!   [`System::failed`] tells who cares.
//! - [`System::status`] says how each component is, as plain data.
//! - With the feature `config`, attributes come from a file: `Config`.
//! - [`System::stop`] ends them, dependents first, within a deadline, and [reports](Report) what
//!   would not end.
//!
//! # What runs besides
//!
//! Nothing: there is no thread for the system. What is done about a failure is done by the loop
//! that failed, and a start or a stop by whoever waits for it.

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
