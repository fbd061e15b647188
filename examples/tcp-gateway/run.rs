//! Starts the store and the loops, and stops them in the right order.

use std::{
    process,
    sync::{Arc, OnceLock},
    time::Duration,
};

use cli::{Signals, log};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use ump_admin::Admin;
use ump_server::{
    OnPanic, Restart, Stop,
    net::Group,
    system::{Attributes, StartError, StartFailure, System},
};

use crate::{
    args::Args,
    gateway::{Gateway, Never, Request, Shared},
    store::{
        self, StoreContext, changes::Changes, faults::Faults, gauges::Gauges, memory::MemoryBudget,
    },
    totals::Totals,
};

/// The name of the component.
const NAME: &str = "gateway";

/// More panics than this end the service.
const RESTART: Restart = Restart::new().limit(5, Duration::from_secs(60));

/// How long the taken commands may take to be answered when the service stops, and then the store.
const GRACE_PERIOD: Duration = Duration::from_secs(5);

/// Descriptors reserved for the database, the loops and the runtime.
const OTHER_DESCRIPTORS: u64 = 64;

pub(crate) fn run(args: &Args) -> Result<bool, String> {
    // Only the signals need a runtime.
    cli::block_on(serve(args))?;
    Ok(true)
}

/// Returns the maximum number of connections. Raises the number of descriptors if necessary, and as
/// far as the system allows it.
fn connections(args: &Args) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(mut descriptors) = current else {
        return args.connections;
    };
    let needed = args.connections as u64 + OTHER_DESCRIPTORS;
    if descriptors < needed {
        let more = maximum.map_or(needed, |maximum| needed.min(maximum));
        let limit = Rlimit {
            current: Some(more),
            maximum,
        };
        if setrlimit(Resource::Nofile, limit).is_ok() {
            descriptors = more;
        }
    }
    let most = descriptors - OTHER_DESCRIPTORS.min(descriptors / 2);
    let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
    if most < args.connections {
        log!(
            "tcp-gateway: at most {most} connections, as the process may have {descriptors} \
             descriptors"
        );
    }
    args.connections.min(most)
}

/// Serves until a signal arrives, or until a component has failed too often.
async fn serve(args: &Args) -> Result<(), String> {
    let mut signals = Signals::new()?;
    let totals = Arc::new(Totals::new(connections(args)));
    let shared = Arc::new(Shared {
        listen: args.listen,
        address: OnceLock::new(),
        group: Group::new(),
        totals: Arc::clone(&totals),
        client_timeout: args.client_timeout,
        memory: args.memory * 1024 * 1024,
    });
    let system = start(args, &shared).await?;
    let admin = args.admin.as_ref().map(|address| {
        let admin = Admin::new().system(&system);
        cli::listen_admin("tcp-gateway", admin, address)
    });
    let _admin = admin.transpose()?;
    let address = shared.address.get().unwrap_or(&args.listen);
    cli::progress(format!("listening on {address}"));

    tokio::select! {
        _ = signals.next() => log!("stopping: finishing what was accepted; send it again to exit at once"),
        failure = system.failed() => log!("tcp-gateway: {failure}: stopping"),
    }
    let exit = async {
        let code = signals.next().await;
        cli::flush();
        process::exit(code)
    };
    tokio::select! {
        () = exit => Ok(()),
        stopped = stop(system) => stopped,
    }?;
    log!("stopped: {} commands taken", totals.commands());
    Ok(())
}

async fn start(args: &Args, shared: &Arc<Shared>) -> Result<System, String> {
    let context = StoreContext {
        faults: Faults {
            delay: args.delay,
            panic_at: args.panic_at,
            chaos: false,
        },
        gauges: Arc::<Gauges>::default(),
        // Nobody watches.
        changes: Changes::new(0, 0, None),
        memory: MemoryBudget::new(),
    };
    let attributes = Attributes::new()
        .needs(store::NAME)
        .instances(args.workers)
        .on_panic(OnPanic::Restart(RESTART));
    let shared = Arc::clone(shared);
    let started = store::add_to(System::builder(), args.db.clone(), args.queue, context)
        .thread(NAME, attributes, move |cx| {
            let store = cx.client(store::NAME)?;
            Ok(Gateway::new(cx, cx.number(), store, &shared)?)
        })
        .start(store::START_TIMEOUT);
    started.await.map_err(|error| match error {
        StartError::Component {
            component,
            why: StartFailure::Refused(e),
            ..
        } if component == store::NAME => {
            format!("cannot use {} as the database: {e}", args.db.display())
        }
        StartError::Component {
            why: StartFailure::Refused(e),
            ..
        } => e.to_string(),
        other => format!("cannot start: {other}"),
    })
}

/// Lets the loops answer what they have taken, then stops them and the store.
async fn stop(system: System) -> Result<(), String> {
    if let Ok(loops) = system.balancer::<Request, (), Never>(NAME) {
        let clients = loops.instances().iter();
        let finishing: Vec<_> = clients
            .map(|client| {
                client
                    .request(Request::Finish)
                    .timeout(GRACE_PERIOD)
                    .into_future()
            })
            .collect();
        let mut clean = true;
        for finished in futures_util::future::join_all(finishing).await {
            clean &= finished.is_ok();
        }
        if !clean {
            log!("closing connections that did not finish in time");
        }
    }
    let report = system.stop(Stop::Drain, GRACE_PERIOD).await;
    if !report.is_clean() {
        return Err(report.to_string());
    }
    Ok(())
}
