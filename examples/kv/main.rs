//! An HTTP key-value service: async HTTP handlers, one blocking thread that owns a SQLite database,
//! and `ump` between them.
//!
//! ```text
//!  handlers (axum, on tokio)                              a component, on a thread (rusqlite)
//!  http.rs    client.ask(message).if_room().await  ──▶    store.rs     handle: one transaction for each batch
//!  import.rs  client.ask(put).submit().await       ──▶    database.rs  commits before the replies
//!             a reply or an error                  ◀──    expiries.rs  on_timer: removes expired keys
//!  events.rs  a stream for each watcher            ◀──    changes.rs   committed changes by topic (topic.rs)
//!  a hub, another process (bus_link.rs)            ◀──    bus.rs       the same changes
//!  backup.rs  a copy of the file, while writes go on
//! ```
//!
//! What clients can do to the service is bounded: serve.rs and connections.rs limit their number,
//! `slow_client.rs` and body.rs their slowness, memory.rs the memory of their values, origin.rs the
//! web pages they come from.
//!
//! This file starts both sides and stops them in the right order.

mod args;
mod backup;
mod body;
mod bus_link;
mod connections;
mod error;
mod events;
mod http;
mod import;
mod origin;
mod serve;
mod slow_client;
mod stopping;
mod store;

use std::{
    fs,
    process::{self, ExitCode},
    sync::Arc,
    time::Duration,
};

use cli::{Signals, log};
use tokio::{net::TcpListener, runtime::Runtime, sync::watch, time};

#[cfg(unix)]
use ump_admin::Admin;
use ump_server::{
    Stop,
    system::{StartError, StartFailure},
};

use store::{bus, changes, database, faults, gauges, history, key, memory, op, recent, topic, ttl};

use crate::{
    args::Args, bus_link::BusLink, changes::Changes, gauges::Gauges, http::App,
    memory::MemoryBudget, origin::OriginPolicy, serve::Limits, store::StoreContext,
};

/// How long connections may take to finish after the last deadline when the service stops, and then
/// the store.
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// Descriptors reserved for the database, its copies and the runtime.
const OTHER_DESCRIPTORS: usize = 64;

fn main() -> ExitCode {
    cli::run_with_args(run)
}

fn run(args: &Args) -> Result<bool, String> {
    let runtime = Runtime::new().map_err(|e| format!("cannot start tokio: {e}"))?;
    runtime.block_on(serve(args))?;
    Ok(true)
}

/// Returns the maximum number of connections, which the number of descriptors limits.
fn connections(args: &Args) -> usize {
    let Some(descriptors) = descriptors() else {
        return args.connections;
    };
    let most = descriptors - OTHER_DESCRIPTORS.min(descriptors / 2);
    if most < args.connections {
        log!("kv: at most {most} connections, as the process may have {descriptors} descriptors");
    }
    args.connections.min(most.max(1))
}

/// Returns the descriptor limit of the process, on Linux.
fn descriptors() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Serves until a signal arrives, or until the store has failed too often.
async fn serve(args: &Args) -> Result<(), String> {
    let cannot_listen = |e| format!("cannot listen on {}: {e}", args.listen);
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let (bus, bus_link) = BusLink::connect(args)?;
    let changes = Changes::new(args.watchers, args.history, bus);
    let context = StoreContext {
        faults: args.faults,
        gauges: Arc::<Gauges>::default(),
        changes: changes.clone(),
        memory: MemoryBudget::new(),
    };
    let started = store::start(args.db.clone(), args.queue, context.clone());
    let system = started.await.map_err(|error| match error {
        StartError::Component {
            why: StartFailure::Refused(e),
            ..
        } => format!("cannot use {} as the database: {e}", args.db.display()),
        other => format!("cannot start the store: {other}"),
    })?;
    let client = store::client(&system);
    #[cfg(unix)]
    let _admin = args
        .admin
        .as_ref()
        .map(|address| {
            let admin = Admin::new().system(&system).router(changes.router());
            cli::listen_admin("kv", admin, address)
        })
        .transpose()?;
    let mut signals = Signals::new()?;

    let (stop, stopping) = watch::channel(false);
    let app = App::new(&client, args, system.directory(), context, stopping.clone());
    let limits = Limits {
        connections: connections(args),
        head: args.head_timeout,
        body: args.client_timeout,
    };
    let policy = OriginPolicy::new(&args.listen, &args.hosts, &args.origins);
    let router = http::router(app, policy, args.faults.chaos);
    let serving = tokio::spawn(serve::serve(listener, router, limits, stopping));

    cli::progress(format!("listening on http://{address}"));

    tokio::select! {
        _ = signals.next() => log!("stopping: finishing what was accepted; send it again to exit at once"),
        failure = system.failed() => log!("kv: {failure}: stopping"),
    }
    tokio::spawn(async move {
        let code = signals.next().await;
        cli::flush();
        process::exit(code)
    });

    // First the connections, then the store: it serves the requests in its queue and closes the
    // database, which removes temporary files.
    stop.send_replace(true);
    changes.close();
    if time::timeout(args.timeout + GRACE_PERIOD, serving)
        .await
        .is_err()
    {
        log!("closing connections that did not finish in time");
    }
    let report = system.stop(Stop::Drain, args.timeout + GRACE_PERIOD).await;
    if !report.is_clean() {
        return Err(report.to_string());
    }
    bus_link.close().await;
    let totals = client.stats();
    log!(
        "stopped: {} requests accepted, {} answered, {} ended otherwise; {} refused",
        totals.accepted,
        totals.replied,
        totals.ended() - totals.replied,
        totals.refused,
    );
    Ok(())
}
