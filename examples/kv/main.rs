//! An HTTP key-value service: async handlers in front, one blocking thread that owns a SQLite database behind, and
//! `ump` between them.
//!
//! ```text
//!  handlers (axum, on tokio)                              a component, on a thread (rusqlite)
//!  http.rs    client.request(op).if_room().await   ──▶    store.rs     proc_batch: one transaction for the batch
//!  import.rs  client.request(op).submit().await    ──▶    database.rs  commit, and only then answer
//!             a reply, or why there is none        ◀──    expiries.rs  on_timer: remove what has expired
//!  events.rs  a stream for each who watches        ◀──    changes.rs   what was committed, by topic (topic.rs)
//!  backup.rs  a copy of the file, while writes go on
//! ```
//!
//! What clients may do to the service is bounded: serve.rs and connections.rs (how many there are), pace.rs and body.rs (how slow they may be),
//! room.rs (how much memory their values take), origin.rs (whose pages may ask).
//!
//! This file starts the two sides and ends them in the right order.

mod args;
mod backup;
mod body;
mod changes;
mod connections;
mod database;
mod error;
mod events;
mod expiries;
mod gauges;
mod history;
mod http;
mod import;
mod key;
mod op;
mod origin;
mod pace;
mod recent;
mod room;
mod serve;
mod signals;
mod store;
mod topic;
mod ttl;

use std::{
    env, fs,
    process::{self, ExitCode},
    sync::Arc,
    time::Duration,
};

use output::log;
use tokio::{net::TcpListener, runtime::Runtime, sync::watch, time};

use ump_server::{
    Stop,
    system::{NotUp, StartError},
};

use crate::{
    args::Args, changes::Changes, gauges::Gauges, http::App, origin::Allowed, room::Room,
    serve::Limits, signals::Signals, store::Surroundings,
};

/// How long connections may take to finish after the last deadline, once the service has been asked to stop; and after them the store.
const GRACE: Duration = Duration::from_secs(2);

/// Descriptors for other things than connections: the database, its copies, the runtime.
const OTHER_DESCRIPTORS: usize = 64;

fn main() -> ExitCode {
    output::run("kv", run)
}

fn run() -> Result<bool, String> {
    let Some(args) = Args::parse(env::args_os().skip(1))? else {
        return output::say(args::HELP).map(|()| true);
    };
    let runtime = Runtime::new().map_err(|e| format!("cannot start tokio: {e}"))?;
    runtime.block_on(serve(&args))?;
    Ok(true)
}

/// How many connections there may be: no more than there are descriptors for.
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

/// How many the process may have, if Linux tells.
fn descriptors() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Serves until a signal asks for the end, or until the store has died too often.
async fn serve(args: &Args) -> Result<(), String> {
    let cannot_listen = |e| format!("cannot listen on {}: {e}", args.listen);
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let changes = Changes::new(args.watchers, args.history);
    let surroundings = Surroundings {
        faults: args.faults,
        gauges: Arc::<Gauges>::default(),
        changes: changes.clone(),
        room: Room::new(),
    };
    let started = store::start(args.db.clone(), args.queue, surroundings.clone());
    let system = started.await.map_err(|error| match error {
        StartError::Component {
            why: NotUp::Refused(e),
            ..
        } => format!("cannot use {} as the database: {e}", args.db.display()),
        other => format!("cannot start the store: {other}"),
    })?;
    let client = store::client(&system);
    let mut signals = Signals::new().map_err(|e| format!("cannot watch for signals: {e}"))?;

    let (stop, stopping) = watch::channel(false);
    let app = App::new(
        &client,
        args,
        system.directory(),
        surroundings,
        stopping.clone(),
    );
    let limits = Limits {
        connections: connections(args),
        head: args.head_timeout,
        body: args.client_timeout,
    };
    let allowed = Allowed::new(&args.listen, &args.hosts, &args.origins);
    let router = http::router(app, allowed, args.chaos);
    let serving = tokio::spawn(serve::serve(listener, router, limits, stopping));

    // Nobody has to read it.
    output::progress(format!("listening on http://{address}"));

    tokio::select! {
        _ = signals.next() => log!("stopping: finishing what was accepted; once more to exit at once"),
        failure = system.failed() => log!("kv: {failure}: stopping"),
    }
    tokio::spawn(async move {
        let code = signals.next().await;
        output::flush();
        process::exit(code)
    });

    // First the connections, then the store: it serves what is left in its queue, and closes the database, which tidies up its files.
    stop.send_replace(true);
    changes.close();
    if time::timeout(args.timeout + GRACE, serving).await.is_err() {
        log!("leaving connections that did not finish in time");
    }
    let report = system.stop(Stop::Drain, args.timeout + GRACE).await;
    if !report.is_clean() {
        return Err(report.to_string());
    }
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
