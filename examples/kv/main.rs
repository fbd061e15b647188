//! An HTTP key-value service: async handlers in front, one blocking thread that owns a SQLite database behind, and
//! `ump` between them.
//!
//! ```text
//!  handlers (axum, on tokio)                              a component, on a thread (rusqlite)
//!  http.rs    client.request(op).if_room().await   ──▶    store.rs     proc_batch: one transaction for the batch
//!  import.rs  client.request(op).submit().await    ──▶    database.rs  commit, and only then answer
//!             a reply, or why there is none        ◀──    expiries.rs  on_timer: remove what has expired
//!  events.rs  a stream for each who watches        ◀──    changes.rs   what was committed, by topic (topic.rs)
//! ```
//!
//! This file starts the two sides and ends them in the right order.

mod args;
mod changes;
mod database;
mod error;
mod events;
mod expiries;
mod gauges;
mod http;
mod import;
mod key;
mod recent;
mod signals;
mod store;
mod topic;
mod ttl;

use std::{
    env,
    io::{self, Write},
    process::{self, ExitCode},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, runtime::Runtime, sync::watch, time};

use ump_server::{
    Stop,
    system::{NotUp, StartError},
};

use crate::{args::Args, changes::Changes, gauges::Gauges, http::App, signals::Signals};

/// How long connections may take to finish after the last deadline, once the service has been asked to stop; and after them the store.
const GRACE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let Some(args) = Args::parse(env::args_os().skip(1))? else {
        print!("{}", args::HELP);
        return Ok(());
    };
    let runtime = Runtime::new().map_err(|e| format!("cannot start tokio: {e}"))?;
    runtime.block_on(serve(&args))
}

/// Serves until a signal asks for the end, or until the store has died too often.
async fn serve(args: &Args) -> Result<(), String> {
    let cannot_listen = |e| format!("cannot listen on {}: {e}", args.listen);
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let gauges = Arc::<Gauges>::default();
    let changes = Changes::new(args.watchers);
    let system = store::start(
        args.db.clone(),
        args.queue,
        args.faults,
        Arc::clone(&gauges),
        changes.clone(),
    )
    .await
    .map_err(|error| match error {
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
        gauges,
        changes.clone(),
        stopping.clone(),
    );
    let stopped = async move { http::stopped(stopping).await };
    let serving = tokio::spawn(
        axum::serve(listener, http::router(app, args.chaos))
            .with_graceful_shutdown(stopped)
            .into_future(),
    );

    println!("listening on http://{address}");
    io::stdout()
        .flush()
        .map_err(|e| format!("cannot write to the standard output: {e}"))?;

    tokio::select! {
        _ = signals.next() => eprintln!("stopping: finishing what was accepted; once more to exit at once"),
        failure = system.failed() => eprintln!("kv: {failure}: stopping"),
    }
    tokio::spawn(async move { process::exit(signals.next().await) });

    // First the connections, then the store: it serves what is left in its queue, and closes the database, which tidies up its files.
    stop.send_replace(true);
    changes.close();
    if time::timeout(args.timeout + GRACE, serving).await.is_err() {
        eprintln!("leaving connections that did not finish in time");
    }
    let report = system.stop(Stop::Drain, args.timeout + GRACE).await;
    if !report.is_clean() {
        return Err(report.to_string());
    }
    let totals = client.stats();
    eprintln!(
        "stopped: {} requests accepted, {} answered, {} ended otherwise; {} refused",
        totals.accepted,
        totals.replied,
        totals.ended() - totals.replied,
        totals.refused,
    );
    Ok(())
}
