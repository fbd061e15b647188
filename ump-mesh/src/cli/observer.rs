//! A session that looks at a mesh and takes no part in it: the participants do not see it.

use std::{collections::BTreeSet, sync::Arc, thread, time::Duration};

use parking_lot::Mutex;
use zenoh::{Session, Wait as _, pubsub::Subscriber, sample::SampleKind};

use super::seen::Seen;
use crate::{config::Config, error::MeshError, keys};

/// The tokens of all domains and versions.
const ALL_TOKENS: &str = "ump/*/@ump/**";

/// How many tokens are kept: a network may have any number of them.
const MAX_TOKENS: usize = 1 << 20;

pub(crate) struct Observer {
    session: Session,
    namespace: String,
    tokens: Arc<Mutex<BTreeSet<String>>>,
    _subscriber: Subscriber<()>,
}

impl Observer {
    pub(crate) fn open(config: &Config) -> Result<Self, MeshError> {
        let mut zenoh = config.resolve()?;
        // Without a namespace it sees all of them.
        let invalid = |error: zenoh::Error| MeshError::Config(error.to_string());
        zenoh.insert_json5("namespace", "null").map_err(invalid)?;
        let failed = |error: zenoh::Error| MeshError::Open(error.to_string());
        let session = zenoh::open(zenoh).wait().map_err(failed)?;
        let tokens = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&tokens);
        let subscriber = session.liveliness().declare_subscriber(ALL_TOKENS);
        let subscriber = subscriber.history(true).callback(move |sample| {
            let mut tokens = seen.lock();
            let key = sample.key_expr().as_str();
            if sample.kind() == SampleKind::Delete {
                tokens.remove(key);
            } else if tokens.len() < MAX_TOKENS {
                tokens.insert(key.to_owned());
            }
        });
        let subscriber = subscriber.wait().map_err(failed)?;
        Ok(Self {
            session,
            namespace: keys::namespace(config.domain_name()),
            tokens,
            _subscriber: subscriber,
        })
    }

    /// Returns what there is after some time.
    pub(crate) fn look(&self, wait: Duration) -> Seen {
        thread::sleep(wait);
        let tokens = self.tokens.lock();
        Seen::read(tokens.iter().map(String::as_str), &self.namespace)
    }

    /// Returns the ids of the zenoh programs to which this one is connected.
    pub(crate) fn connected(&self) -> BTreeSet<String> {
        let info = self.session.info();
        let (peers, routers) = (info.peers_zid().wait(), info.routers_zid().wait());
        peers.chain(routers).map(|id| id.to_string()).collect()
    }

    pub(crate) fn close(self) {
        let _ = self.session.close().wait(); // an error if it was closed before
    }
}
