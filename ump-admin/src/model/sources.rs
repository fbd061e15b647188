//! Where the snapshots come from.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use ump_router::Router;
use ump_server::system::Directory;

use super::log::Log;

/// Reads a section of the program's own.
pub(crate) type ReadSection = Arc<dyn Fn() -> Value + Send + Sync>;

/// Renders the program's own metrics.
pub(crate) type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the program has given to be shown.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) directory: Option<Directory>,
    pub(crate) router: Option<Router>,
    pub(crate) log: Option<Arc<dyn Log>>,
    pub(crate) sections: BTreeMap<String, ReadSection>,
    pub(crate) info: BTreeMap<String, Value>,
    pub(crate) exporters: Vec<RenderMetrics>,
}
