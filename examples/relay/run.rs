//! Runs the server until it is stopped.

use std::{process, thread, time::Duration};

use cli::{Signals, log};
use tokio::{sync::oneshot, time};
use ump_server::ump::RequestError;

use crate::{admin::AdminClient, args::Args, server::Server};

/// How often a server that drains looks whether there are allocations left.
const LOOK: Duration = Duration::from_millis(50);

/// Returns whether all workers ended cleanly.
pub(crate) fn run(args: &Args) -> Result<bool, String> {
    cli::block_on(serve(args))
}

async fn serve(args: &Args) -> Result<bool, String> {
    let mut signals = Signals::new()?;
    let server = Server::start(args)?;
    for address in &server.addresses {
        cli::progress(format!("listening on {address}"));
    }
    let (quit, console_ended) = oneshot::channel();
    if args.console {
        let admin = server.admin.clone();
        thread::spawn(move || {
            // The server may stop first.
            let _ = quit.send(execute_commands(&admin));
        });
    }
    let console_ended = async {
        match console_ended.await {
            Ok(result) => result,
            // There is no console.
            Err(_) => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        _ = signals.next() => Ok(()),
        result = console_ended => result,
        failure = server.system.failed() => Err(failure.to_string()),
    };
    drain(&server, args.drain_timeout, &mut signals).await;
    let report = server.stop();
    result?;
    if !report.is_clean() {
        return Err(format!("not all workers ended cleanly: {report}"));
    }
    log!("relay: stopped");
    Ok(true)
}

/// Makes no allocations any more, and waits until the clients have ended theirs.
async fn drain(server: &Server, timeout: Duration, signals: &mut Signals) {
    if let Err(error) = server.admin.drain().await {
        log!("relay: cannot drain: {error}");
    }
    if server.allocations() == 0 {
        return;
    }
    let count = server.allocations();
    log!("relay: stopping: {count} allocations; send the signal again to stop at once");
    let drained = async {
        while server.allocations() > 0 {
            time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        _ = time::timeout(timeout, drained) => {}
        code = signals.next() => {
            cli::flush();
            process::exit(code);
        }
    }
}

/// Executes commands from the standard input, until its end or `quit`.
fn execute_commands(admin: &AdminClient) -> Result<(), String> {
    cli::execute_commands(|command| match admin.execute(command).wait() {
        Ok(answer) => Ok(answer),
        Err(RequestError::App(error)) => Ok(format!("error: {error}")),
        Err(error) => Err(format!("the console has ended: {error}")),
    })
}
