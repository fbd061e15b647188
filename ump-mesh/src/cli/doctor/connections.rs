//! Why there is no connection to a program that has answered.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

/// How long connecting may take, and how many addresses are tried.
const LIMIT: Duration = Duration::from_secs(1);
const MAX_ADDRESSES: usize = 3;

/// Tries the addresses that a program has told, those that are not of its own host only first.
pub(super) fn why_not(addresses: &[String]) -> String {
    let mut known: Vec<_> = addresses.iter().filter_map(|it| parse(it)).collect();
    known.sort_by_key(|(_, address)| is_own(address.ip()));
    if known.is_empty() {
        return format!(
            "it has told no address that is known ({} in all)",
            addresses.len()
        );
    }
    let tried = known.iter().take(MAX_ADDRESSES).map(|(protocol, address)| {
        let is_stream = matches!(*protocol, "tcp" | "tls");
        match is_stream.then(|| TcpStream::connect_timeout(address, LIMIT)) {
            None => format!("{protocol}/{address} is not tried"),
            Some(Ok(_)) => format!("{protocol}/{address} opens"),
            Some(Err(error)) => format!("{protocol}/{address}: {error}"),
        }
    });
    tried.collect::<Vec<_>>().join(", ")
}

fn is_own(address: IpAddr) -> bool {
    address.is_loopback()
}

/// Reads an address as zenoh writes it: `tcp/192.168.1.7:7447`, perhaps with settings after it.
fn parse(address: &str) -> Option<(&str, SocketAddr)> {
    let (protocol, rest) = address.split_once('/')?;
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    Some((protocol, rest[..end].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_says_how_far_it_is_reached() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = format!("tcp/{}", listener.local_addr().unwrap());
        let addresses = [
            open.clone(),
            "quic/10.0.0.1:7?a=b".to_owned(),
            "unixsock-stream/x".to_owned(),
        ];
        let told = why_not(&addresses);
        assert_eq!(told, format!("quic/10.0.0.1:7 is not tried, {open} opens"));
        assert!(why_not(&["tcp/127.0.0.1:1".to_owned()]).starts_with("tcp/127.0.0.1:1: "));
        assert_eq!(
            why_not(&[]),
            "it has told no address that is known (0 in all)"
        );
    }
}
