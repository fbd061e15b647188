//! The addresses that a participant listens on.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

use crate::error::MeshError;

/// Returns the addresses of interfaces, by name: those that are named, or all that are private if
/// none is.
pub(crate) fn addresses(names: &[String]) -> Result<Vec<IpAddr>, MeshError> {
    let unknown = |name: &str| MeshError::Interface(name.to_owned());
    let all = getifaddrs().map_err(|error| unknown(error.desc()))?;
    let all = all.filter_map(|one| {
        let address = one.address?;
        let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
        let v6 = || address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip()));
        Some((one.interface_name, v4.or_else(v6)?))
    });
    let all: Vec<_> = all.collect();
    if names.is_empty() {
        let private = all.iter().filter(|(_, address)| is_private(*address));
        return Ok(private.map(|(_, address)| *address).collect());
    }
    let mut found = Vec::new();
    for name in names {
        if let Ok(address) = name.parse() {
            found.push(address);
            continue;
        }
        let of_name = all.iter().filter(|(own, _)| own == name);
        let before = found.len();
        // A link-local address of IPv6 needs its interface, which zenoh has no place for.
        found.extend(of_name.map(|(_, it)| *it).filter(|it| !is_link_local(*it)));
        if found.len() == before {
            return Err(unknown(name));
        }
    }
    Ok(found)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80)
}

/// Returns whether an address is not reached from other networks.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.segments()[0] & 0xfe00 == 0xfc00,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_those_of_a_home() {
        for (text, expected) in [
            ("10.1.2.3", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("192.168.0.1", true),
            ("127.0.0.1", true),
            ("169.254.3.4", true),
            ("8.8.8.8", false),
            ("100.64.0.1", false),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn an_interface_is_found_by_its_name_or_address() {
        let all = addresses(&[]).unwrap();
        assert!(all.iter().all(|address| is_private(*address)));
        let loopback: IpAddr = "127.0.0.7".parse().unwrap();
        assert_eq!(addresses(&["127.0.0.7".to_owned()]), Ok(vec![loopback]));
        let missing = "no-such-interface".to_owned();
        assert_eq!(
            addresses(std::slice::from_ref(&missing)),
            Err(MeshError::Interface(missing))
        );
    }
}
