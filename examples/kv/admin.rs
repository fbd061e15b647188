//! The admin surface, with its dashboard: the store, and the topics of the watchers. Read-only.

use ump_admin::{Address, Admin, AdminHandle};
use ump_server::system::System;

use crate::changes::Changes;

/// Listens until the returned handle is dropped.
pub(crate) fn listen(
    address: &Address,
    system: &System,
    changes: &Changes,
) -> Result<AdminHandle, String> {
    let admin = Admin::new().system(system).router(changes.router());
    let admin = admin
        .info("version", env!("CARGO_PKG_VERSION"))
        .listen(address.clone())
        .map_err(|error| describe(&error))?;
    cli::log!("kv: admin at {}", url(admin.address()));
    Ok(admin)
}

fn url(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("http://{address}"),
        other => other.to_string(),
    }
}

/// Returns the text of an error with its cause.
fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
