//! The interfaces of the system, and the networks that they connect it to.
//!
//! With `--connected` these networks are routes like those of a neighbour, preferred to all others
//! and never advertised. They are read once, at the start.

use std::{fmt, io};

use getifaddrs::{Address, InterfaceFlags, getifaddrs};
use ipnet::IpNet;

use crate::path::{AsPath, Attributes, Origin, Path, Scope};

/// An address of an interface. An interface may have several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interface {
    name: String,
    /// The address, with the length of its network.
    address: IpNet,
    is_up: bool,
}

/// Reads the addresses of all interfaces, in order of their names.
///
/// # Errors
/// Returns the error of the system, such as that of a sandbox that does not permit it.
pub(crate) fn read() -> io::Result<Vec<Interface>> {
    let mut interfaces: Vec<_> = getifaddrs()?
        .filter_map(|interface| {
            Some(Interface {
                name: interface.name,
                address: network(&interface.address)?,
                is_up: interface.flags.contains(InterfaceFlags::UP),
            })
        })
        .collect();
    interfaces.sort();
    Ok(interfaces)
}

/// Returns `None` for an address of a link, or without a valid mask.
fn network(address: &Address) -> Option<IpNet> {
    IpNet::with_netmask(address.ip_addr()?, address.netmask()?).ok()
}

/// Reads the interfaces whose networks are routes, if that is wanted.
pub(crate) fn connected(is_wanted: bool) -> Result<Vec<Interface>, String> {
    if !is_wanted {
        return Ok(Vec::new());
    }
    let interfaces = read().map_err(|e| format!("cannot read the interfaces: {e}"))?;
    Ok(interfaces.into_iter().filter(Interface::routes).collect())
}

impl Interface {
    /// Returns whether other systems can be reached by it. A link-local address
    /// says nothing about that.
    fn routes(&self) -> bool {
        let is_link_local = match self.address {
            IpNet::V4(_) => false,
            IpNet::V6(address) => address.addr().is_unicast_link_local(),
        };
        self.is_up && !is_link_local
    }

    pub(crate) fn network(&self) -> IpNet {
        self.address.trunc()
    }

    /// Makes the path to its network.
    pub(crate) fn path(&self) -> Path {
        let address = self.address.addr();
        let attributes = Attributes {
            path: AsPath::default(),
            origin: Origin::Igp,
            next_hop: address,
            preference: u32::MAX,
            med: 0,
            scope: Scope::Nobody,
        };
        Path::new(address, attributes)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            address,
            is_up,
        } = self;
        let state = if *is_up { "up" } else { "down" };
        write!(f, "{name:<15} {state:<4} {address}")
    }
}
