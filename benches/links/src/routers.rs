//! Routers of `ump-router` with links.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use ump_router::{
    Message, RecvError, RequestMessage, Router,
    link::sockets::{Link, ListenOptions, Quota, Quotas, Rules, Who},
};

use crate::{
    children::{self, Process, Skipped},
    contenders::{Contender, await_reply},
    measure,
    peer::{Caller, Failed, Heard, Kind, Peer, Publisher, TOPIC, one_thread, own_bus},
};

/// How long a link may take to open.
const LONG: Duration = Duration::from_secs(5);

/// The payload of a message or of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payload(#[serde(with = "serde_bytes")] pub(crate) Vec<u8>);

impl Message for Payload {
    const PREFIX: &str = "payload";
}

impl RequestMessage for Payload {
    type Reply = Payload;
    type Error = String;
    const PREFIX: &str = "ask";
}

/// Routers whose links are driven by a thread, or by a task of the caller's runtime.
pub(crate) struct RoutersBy<const TASKS: bool>;

/// A thread of the links, and a thread that serves.
pub(crate) type Routers = RoutersBy<false>;

/// All in tasks of one thread, in each process.
pub(crate) type RoutersInTasks = RoutersBy<true>;

/// A router that is linked to the bus.
pub(crate) struct Linked {
    pub(crate) router: Router,
    _link: Link,
}

fn carrying(in_tasks: bool) -> Result<Router, Failed> {
    let router = Router::new();
    if in_tasks {
        router.drive_links_on(&Handle::current())?;
    }
    router.carry::<Payload>()?;
    router.carry_requests::<Payload>()?;
    Ok(router)
}

pub(crate) fn linked(address: &str) -> Result<Linked, Failed> {
    let router = carrying(false)?;
    let link = router.connect(address)?;
    let is_open = link.opened().timeout(LONG).wait();
    check(router, link, is_open)
}

/// The same, driven as the contender is.
async fn linked_by<const TASKS: bool>(address: &str) -> Result<Linked, Failed> {
    let router = carrying(TASKS)?;
    let link = router.connect(address)?;
    let is_open = link.opened().timeout(LONG).await;
    check(router, link, is_open)
}

fn check(router: Router, link: Link, is_open: bool) -> Result<Linked, Failed> {
    if !is_open {
        return Err("the link does not open".into());
    }
    Ok(Linked {
        router,
        _link: link,
    })
}

/// The limits of a listener that do not concern what is measured.
fn any_number_of_links() -> ListenOptions {
    let quotas = Quotas::new().limit(Quota::Connections, usize::MAX);
    let rules = Rules::default().quotas(Who::Anyone, quotas);
    ListenOptions::new().rules(rules).max_links(usize::MAX)
}

fn serve_by<const TASKS: bool>(router: &Router) -> Result<(), Failed> {
    if TASKS {
        serve_in_task(router)
    } else {
        serve_in_thread(router)
    }
}

/// Serves the topic in a task, as long as the router lives.
fn serve_in_task(router: &Router) -> Result<(), Failed> {
    let server = router.serve::<Payload>(TOPIC)?;
    tokio::spawn(async move {
        while let Ok((call, context)) = server.async_wait().await {
            let _ = context.reply(call.message); // an error if the caller is gone
        }
    });
    Ok(())
}

/// Serves the topic in a thread, as long as the router lives.
fn serve_in_thread(router: &Router) -> Result<(), Failed> {
    let server = router.serve::<Payload>(TOPIC)?;
    std::thread::spawn(move || {
        for (call, context) in &server {
            let _ = context.reply(call.message); // an error if the caller is gone
        }
    });
    Ok(())
}

#[derive(Clone)]
pub(crate) struct Asks(std::sync::Arc<Linked>);

impl Caller for Asks {
    async fn request(&self, payload: &Bytes) -> Result<Bytes, Failed> {
        let asked = self
            .0
            .router
            .request(TOPIC, Payload(payload.to_vec()))
            .await;
        match asked {
            Ok(Payload(reply)) => Ok(reply.into()),
            Err(error) => Err(error.to_string().into()),
        }
    }
}

impl Publisher for Linked {
    async fn publish(&self, payload: &Bytes, times: u64) -> Result<(), Failed> {
        for _ in 0..times {
            let payload = Payload(payload.to_vec());
            self.router.publish(TOPIC, payload).await?;
        }
        Ok(())
    }
}

impl<const TASKS: bool> Peer for RoutersBy<TASKS> {
    const NAME: &str = if TASKS {
        "ump-router task driver"
    } else {
        "ump-router"
    };
    type Caller = Asks;
    type Publisher = Linked;

    fn bus(kind: Kind, serves: bool) -> Result<Process, Skipped> {
        own_bus::<Self>(kind, serves)
    }

    async fn be_bus(address: &str, serves: bool) -> Result<(), Failed> {
        let router = carrying(TASKS)?;
        let listener = router.listen_with(address, any_number_of_links())?;
        if serves {
            serve_by::<TASKS>(&router)?;
        }
        children::ready(&listener.address().to_string());
        std::future::pending().await
    }

    async fn serve(address: &str) -> Result<(), Failed> {
        let linked = linked_by::<TASKS>(address).await?;
        serve_by::<TASKS>(&linked.router)?;
        children::ready(address);
        std::future::pending().await
    }

    async fn subscribe(address: &str, count: usize, heard: Heard) -> Result<(), Failed> {
        for _ in 0..count {
            let linked = linked_by::<TASKS>(address).await?;
            let mut subscription = linked.router.subscribe::<Payload>(TOPIC)?;
            let heard = heard.clone();
            tokio::spawn(async move {
                let _linked = linked;
                loop {
                    match subscription.recv().await {
                        Ok(_) => heard.add(1),
                        Err(RecvError::Missed(count)) => heard.add(count),
                        Err(_) => return,
                    }
                }
            });
        }
        children::ready(address);
        std::future::pending().await
    }

    async fn caller(address: &str) -> Result<Asks, Failed> {
        Ok(Asks(linked_by::<TASKS>(address).await?.into()))
    }

    async fn publisher(address: &str) -> Result<Linked, Failed> {
        linked_by::<TASKS>(address).await
    }
}

/// Requests of a thread, one after the other.
pub(crate) fn blocking(kind: Kind, payload: &Bytes, by_bus: bool) -> Result<Contender, Skipped> {
    let mut processes = vec![Routers::bus(kind, by_bus)?];
    let address = processes[0].address.clone();
    if !by_bus {
        processes.push(Process::of(&["server", Routers::NAME, &address])?);
    }
    let failed = |error: Failed| Skipped(error.to_string());
    let asks = Asks(linked(&address).map_err(failed)?.into());
    one_thread().block_on(await_reply(&asks, payload))?;
    let payload = payload.clone();
    let name = format!("{}, blocking", Routers::NAME);
    Ok(Contender::new(name, processes, move |times| {
        measure::one_by_one(times, || {
            let request = asks.0.router.request(TOPIC, Payload(payload.to_vec()));
            let reply = request.wait().map_err(|error| error.to_string())?;
            if reply.0.len() == payload.len() {
                Ok(())
            } else {
                Err(format!("a reply of {} bytes", reply.0.len()).into())
            }
        })
    }))
}
