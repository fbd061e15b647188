//! The admin surface of an example, with its dashboard.

use ump_admin::{Address, Admin, AdminHandle};

/// Listens until the returned handle is dropped, and says where.
///
/// # Errors
/// Returns the text of the error with its cause.
pub fn listen_admin(program: &str, admin: Admin, address: &Address) -> Result<AdminHandle, String> {
    let admin = admin
        .info("version", env!("CARGO_PKG_VERSION"))
        .listen(address.clone())
        .map_err(|error| describe(&error))?;
    crate::log!("{program}: admin at {}", url(admin.address()));
    Ok(admin)
}

fn url(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("http://{address}"),
        other => other.to_string(),
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
