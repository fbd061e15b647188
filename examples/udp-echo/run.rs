//! Runs a loop until it ends, or until a signal ends it.

use cli::Signals;
use ump_server::{Client, JoinHandle, SpawnError, net::Error};

use crate::{
    args::{Args, Role},
    client, server,
};

/// The request that ends a loop. The loop returns its summary.
#[derive(Debug)]
pub(crate) struct Stop;

/// How a loop ends: with a summary and whether all went well.
pub(crate) type Output = (String, bool);

/// A client and the handle of a loop that runs until it gets [`Stop`] or has done its work.
pub(crate) type Started = Result<(Client<Stop, (), Error>, JoinHandle<Output>), SpawnError<Error>>;

pub(crate) fn run(args: &Args) -> Result<bool, String> {
    // Only the signals need a runtime.
    let (summary, went_well) = cli::block_on(async {
        let mut signals = Signals::new()?;
        let started = match &args.role {
            Role::Server(args) => server::start(args),
            Role::Client(args) => client::start(args),
        };
        let (client, mut handle) = started.map_err(|error| match error {
            SpawnError::Handler(error) => error.to_string(),
            other => other.to_string(),
        })?;
        let ended = tokio::select! {
            ended = &mut handle => ended,
            _ = signals.next() => {
                // An error means that the loop has just ended.
                let _ = client.post(Stop).await;
                handle.await
            }
        };
        match ended {
            Ok(Some(output)) => Ok(output),
            Ok(None) => Err("the loop ended without a summary".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })?;
    cli::print(summary)?;
    Ok(went_well)
}
