//! What the handlers share.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::http::StatusCode;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task, time,
};

use super::problem::Problem;
use crate::{
    model::{Cache, Component, Link, RouterState, Sources},
    module::Module,
};

/// The number of open streams of events; one more gets 503.
const STREAMS: usize = 16;

/// The time for what may block: links, sections and exporters.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What the handlers share.
pub(crate) struct App {
    pub(super) sources: Sources,
    pub(super) modules: BTreeMap<String, Module>,
    pub(super) allows_actions: bool,
    streams: Arc<Semaphore>,
    pub(super) began: (SystemTime, Instant),
    components: Cache<Vec<Component>>,
    topics: Cache<RouterState>,
    links: Cache<Vec<Link>>,
}

/// The state of the handlers.
pub(super) type Shared = axum::extract::State<Arc<App>>;

impl App {
    pub(crate) fn new(
        sources: Sources,
        modules: BTreeMap<String, Module>,
        allows_actions: bool,
    ) -> Self {
        Self {
            sources,
            modules,
            allows_actions,
            streams: Arc::new(Semaphore::new(STREAMS)),
            began: (SystemTime::now(), Instant::now()),
            components: Cache::default(),
            topics: Cache::default(),
            links: Cache::default(),
        }
    }

    /// Returns the place of a stream of events.
    pub(super) fn stream(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.streams).try_acquire_owned();
        place.map_err(|_| {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "there are too many streams of events",
            )
        })
    }

    pub(crate) fn components(&self) -> Arc<Vec<Component>> {
        self.components.get(|| {
            let directory = self.sources.directory.iter();
            let all = directory.flat_map(ump_server::system::Directory::status);
            all.map(Into::into).collect()
        })
    }

    pub(super) fn topics(&self) -> Arc<RouterState> {
        self.topics.get(|| {
            let router = self.sources.router.as_ref();
            router.map(RouterState::read).unwrap_or_default()
        })
    }

    /// The thread of the links is asked, which may be busy.
    pub(super) async fn links(self: &Arc<Self>) -> Result<Arc<Vec<Link>>, Problem> {
        let app = Arc::clone(self);
        blocking(move || {
            app.links.get(|| {
                let router = app.sources.router.iter();
                let all = router.flat_map(ump_router::Router::links);
                all.map(Into::into).collect()
            })
        })
        .await
    }

    /// Forgets the snapshots, after an action.
    pub(super) fn changed(&self) {
        self.components.clear();
        self.topics.clear();
    }
}

/// Runs what may block on a thread that may. It is not waited for longer than five seconds.
pub(super) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    match time::timeout(READ_TIMEOUT, task::spawn_blocking(read)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the program panicked while it was read",
        )),
        Err(_) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the program did not answer within five seconds",
        )),
    }
}
