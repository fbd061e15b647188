//! An HTTP key-value service: async handlers in front, one blocking thread that owns a SQLite database behind, and
//! `ump` between them.
//!
//! ```text
//!  handlers (axum, on tokio)                              storage thread (rusqlite)
//!  http.rs    client.request(op).if_room().await   ──▶    store.rs   server.wait_many(&mut batch)
//!  import.rs  client.request(op).submit().await    ──▶               one transaction for the batch
//!             a reply, or why there is none        ◀──               commit, and only then answer
//! ```
//!
//! This file starts the two sides and ends them in the right order.

mod args;
mod error;
mod http;
mod import;
mod key;
mod recent;
mod signals;
mod store;

use std::{
    env,
    io::{self, Write},
    process::{self, ExitCode},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, runtime::Runtime, sync::watch, time};

use crate::{args::Args, http::App, recent::Recent, signals::Signals, store::Store};

/// How long connections may take to finish after the last deadline, once the service has been asked to stop.
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

/// Serves until a signal asks for the end, or until the storage thread dies.
async fn serve(args: &Args) -> Result<(), String> {
    let cannot_listen = |e| format!("cannot listen on {}: {e}", args.listen);
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let store = Store::open(&args.db)
        .map_err(|e| format!("cannot use {} as the database: {e}", args.db.display()))?;
    let mut signals = Signals::new().map_err(|e| format!("cannot watch for signals: {e}"))?;

    let (server, client) = ump::bounded(args.queue).map_err(|e| e.to_string())?;
    let batches = Arc::new(Recent::default());
    let mut storage = store
        .spawn(server, args.faults, Arc::clone(&batches))
        .map_err(|e| format!("cannot start the storage thread: {e}"))?;

    let (stop, stopping) = watch::channel(false);
    let app = App::new(&client, args.timeout, batches, stopping.clone());
    let stopped = async move { http::stopped(stopping).await };
    let serving = tokio::spawn(
        axum::serve(listener, http::router(app))
            .with_graceful_shutdown(stopped)
            .into_future(),
    );

    println!("listening on http://{address}");
    io::stdout()
        .flush()
        .map_err(|e| format!("cannot write to the standard output: {e}"))?;

    let storage_died = tokio::select! {
        _ = signals.next() => false,
        _ = &mut storage => true,
    };
    if storage_died {
        eprintln!("kv: the storage thread died, stopping");
    } else {
        eprintln!("stopping: finishing what was accepted; once more to exit at once");
    }
    tokio::spawn(async move { process::exit(signals.next().await) });

    // First the connections, then the store: it ends when the last strong client is gone, with nothing left in its queue.
    stop.send_replace(true);
    if time::timeout(args.timeout + GRACE, serving).await.is_err() {
        eprintln!("leaving connections that did not finish in time");
    }
    drop(client);
    if storage_died {
        return Err("ended because the storage thread died".to_owned());
    }
    let totals = storage
        .await
        .map_err(|_| "the storage thread died while it finished")?;
    eprintln!(
        "stopped: {} requests accepted, {} answered, {} ended otherwise; {} refused",
        totals.accepted,
        totals.replied,
        totals.ended() - totals.replied,
        totals.refused,
    );
    Ok(())
}
