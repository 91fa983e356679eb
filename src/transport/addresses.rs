//! How many clients come from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::request::Parts;
use ipnet::IpNet;
use parking_lot::Mutex;

use super::ClientAddr;

/// Counts the clients of each address; clones share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of a client among those of its address, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    /// Takes a place; `None` when the address has as many clients as it may.
    pub(super) fn seat(&self, address: IpAddr, limit: usize) -> Option<Seat> {
        let address = counted(address);
        let mut clients = self.0.lock();
        let n = clients.entry(address).or_default();
        let is_free = *n < limit.max(1);
        *n += usize::from(is_free);
        is_free.then(|| Seat {
            addresses: self.clone(),
            address,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut clients = self.addresses.0.lock();
        if let Some(n) = clients.get_mut(&self.address) {
            *n -= 1;
            if *n == 0 {
                clients.remove(&self.address);
            }
        }
    }
}

/// Returns the address from which a request comes, if the server knows it: behind trusted proxies, the last one in
/// `X-Forwarded-For` that is none of theirs. What stands before it anybody could have written.
pub(super) fn client(parts: &Parts, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|proxy| proxy.contains(address));
    let mut address = parts.extensions.get::<ClientAddr>()?.0.ip().to_canonical();
    let lines = parts.headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.rsplit(','));
    for hop in hops {
        if !is_trusted(&address) {
            break;
        }
        let Ok(before) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        address = before.to_canonical();
    }
    Some(address)
}

/// A household has a whole /64 of IPv6.
fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut request = Request::new(());
        let peer = ClientAddr((peer.parse::<IpAddr>().unwrap(), 1).into());
        request.extensions_mut().insert(peer);
        for line in forwarded {
            let headers = request.headers_mut();
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let address = client(&request.into_parts().0, &trusted);
        address.unwrap().to_string()
    }

    #[test]
    fn only_what_trusted_proxies_say_counts() {
        let proxies = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(of("1.2.3.4", &["9.9.9.9"], &proxies), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["9.9.9.9"], &proxies), "9.9.9.9");
        assert_eq!(of("10.0.0.1", &["6.6.6.6, 9.9.9.9"], &proxies), "9.9.9.9");
        assert_eq!(of("10.0.0.1", &["9.9.9.9, 10.2.0.1"], &proxies), "9.9.9.9");
        assert_eq!(of("10.0.0.1", &["9.9.9.9", "fd00::1"], &proxies), "9.9.9.9");
        assert_eq!(of("::ffff:10.0.0.1", &["9.9.9.9"], &proxies), "9.9.9.9");
        assert_eq!(of("10.0.0.1", &["9.9.9.9, unknown"], &proxies), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &[], &proxies), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["9.9.9.9"], &[]), "10.0.0.1");
    }

    #[test]
    fn a_place_is_free_again_when_its_client_is_gone() {
        let addresses = Addresses::default();
        let seat = |address: &str| addresses.seat(address.parse().unwrap(), 2);
        let (first, _second) = (seat("1.2.3.4"), seat("1.2.3.4"));
        assert!(first.is_some() && seat("1.2.3.4").is_none());
        assert!(seat("1.2.3.5").is_some(), "another address");
        drop(first);
        assert!(seat("1.2.3.4").is_some());
        let _household = [seat("fd00::1"), seat("fd00::2")];
        assert!(seat("fd00::3").is_none() && seat("fd00:0:0:1::").is_some());
    }

    #[test]
    fn who_is_gone_leaves_nothing() {
        let addresses = Addresses::default();
        drop(addresses.seat(IpAddr::from([1, 2, 3, 4]), 1));
        assert!(addresses.0.lock().is_empty());
    }
}
