//! What the router at the other end of a link refuses.

use std::sync::Arc;

use super::access::Permission;
use crate::{link::wire::Status, protocol::Message};

/// The message that the router at the other end of a link refuses a subscription, a served topic or
/// messages of this process, or has ended one of the former.
///
/// The router publishes it on the full name of the topic or pattern concerned, which begins with
/// the prefix of its type. The subscription, or the server, stays in this process and for other
/// links. The refused operation is tried again when the link is made again.
///
/// Messages that the other router does not deliver are reported once for each topic, of at most 64
/// topics, by the first message of each.
///
/// Requests that are refused have an error: [`RequestError::Link`](crate::RequestError::Link).
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use ump_router::{Message, Router, link::sockets::{LinkRefusal, ListenOptions, Rules}};
/// # use ump_router::link::{sockets::{Permission, Who}, wire::Status};
///
/// #[derive(Serialize, Deserialize)]
/// struct Price(f64);
/// impl Message for Price {
///     const PREFIX: &str = "price";
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (hub, leaf) = (Router::new(), Router::new());
/// let rules = Rules::deny_by_default().allow(Who::Anyone, Permission::ALL, "price/eth".parse()?);
/// let listener = hub.listen_with("tcp:127.0.0.1:0", ListenOptions::new().rules(rules))?;
///
/// leaf.carry::<Price>()?;
/// let mut refusals = leaf.subscribe::<LinkRefusal>("**")?;
/// let _all = leaf.subscribe::<Price>("**")?;
/// let _link = leaf.connect(listener.address())?;
/// let refusal = refusals.recv().wait()?;
/// assert_eq!(refusal.topic().as_str(), "price/**");
/// assert_eq!(refusal.status, Status::Denied);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LinkRefusal {
    /// The name of the link.
    pub link: Arc<str>,
    /// What was refused: [`Subscribe`](Permission::Subscribe), [`Serve`](Permission::Serve) or
    /// [`Publish`](Permission::Publish).
    pub permission: Permission,
    /// The answer: [`Denied`](Status::Denied), [`Quota`](Status::Quota), or another one.
    pub status: Status,
    /// An explanation of the other router, for people. It names the rule or the quota.
    pub text: String,
}

impl Message for LinkRefusal {
    const PREFIX: &'static str = "ump/refusal";
}
