//! Scopes of IP addresses. A component reaches addresses that aren't public (this machine, private
//! networks, the cloud's metadata service) only if its manifest names them. This prevents server-side
//! request forgery.
//!
//! Sources: IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890 and updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tirage_manifest::Grant;

/// Scope of an address, in ascending order of restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Globally reachable.
    Public,
    /// This machine or a private network: only for hosts that the manifest names.
    Private,
    /// Link-local, where clouds have their metadata services: only for addresses that the manifest
    /// names. A host name that resolves to such an address is probably an attack.
    LinkLocal,
    /// Never a destination: unspecified, multicast, documentation, reserved.
    Invalid,
}

impl Scope {
    /// `true` if a connection is permitted. `grant` is the manifest's grant for the host. `is_literal`
    /// is `true` if the host is the address itself, not a name that resolved to it.
    pub(super) fn permits(self, grant: Option<Grant>, is_literal: bool) -> bool {
        match grant {
            None => false,
            Some(Grant::Wildcard) => self == Self::Public,
            Some(Grant::Named | Grant::Network) if is_literal => self <= Self::LinkLocal,
            Some(Grant::Named | Grant::Network) => self <= Self::Private,
        }
    }
}

pub(super) fn scope(address: IpAddr) -> Scope {
    match address {
        IpAddr::V4(address) => scope_v4(address),
        IpAddr::V6(address) => scope_v6(address),
    }
}

fn scope_v4(address: Ipv4Addr) -> Scope {
    match address.octets() {
        [127, ..] | [10, ..] | [192, 168, ..] => Scope::Private,
        [172, second, ..] if second & 0xf0 == 16 => Scope::Private,
        // Carrier-grade NAT (RFC 6598); some clouds have services there.
        [100, second, ..] if second & 0xc0 == 64 => Scope::Private,
        [169, 254, ..] => Scope::LinkLocal,
        // "This network", protocol assignments, documentation, benchmarking, 6to4 relays, multicast
        // and reserved addresses.
        [0, ..]
        | [192, 0, 0, _]
        | [192, 0, 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Scope::Invalid,
        _ => Scope::Public,
    }
}

fn scope_v6(address: Ipv6Addr) -> Scope {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Scope::Invalid,
        [0, 0, 0, 0, 0, 0, 0, 1] => Scope::Private,
        [0xfe80..=0xfebf, ..] => Scope::LinkLocal,
        // IPv4 in IPv6: mapped, compatible, translated (RFC 4291, 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => scope_v4(embedded_v4(high, low)),
        // Unique local.
        [0xfc00..=0xfdff, ..] => Scope::Private,
        // Parts of global unicast (2000::/3) that aren't destinations: protocol assignments (Teredo
        // embeds an IPv4 address), documentation and segment routing.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Scope::Invalid,
        // ISATAP (RFC 5214) tunnels to the IPv4 address in the interface identifier, under any prefix.
        [0x2000..=0x3fff, _, _, _, 0 | 0x200, 0x5efe, high, low] => {
            scope_v4(embedded_v4(high, low))
        }
        [0x2000..=0x3fff, ..] => Scope::Public,
        // Includes the prefix for local translators (RFC 8215), whose destinations are unknown.
        _ => Scope::Invalid,
    }
}

fn embedded_v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_all(expected: Scope, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn public_addresses() {
        assert_all(
            Scope::Public,
            &[
                "1.1.1.1",
                "100.63.255.255",
                "100.128.0.0",
                "172.15.0.1",
                "172.32.0.1",
                "2606:4700:4700::1111",
                "2a00:1450::1",
                "64:ff9b::1.1.1.1",
                "::ffff:1.1.1.1",
                "2002:101:101::1",
                "2a00:1450::5efe:101:101",
            ],
        );
    }

    #[test]
    fn private_addresses_in_every_notation() {
        assert_all(
            Scope::Private,
            &[
                "127.0.0.1",
                "127.255.0.1",
                "10.0.0.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "100.64.0.1",
                "::1",
                "fd00::1",
                "::ffff:127.0.0.1",
                "::127.0.0.1",
                "64:ff9b::10.0.0.1",
                "2002:7f00:1::",
                "2a00:1450::5efe:7f00:1",
                "2a00:1450::200:5efe:a00:1",
            ],
        );
    }

    #[test]
    fn link_local_addresses_in_every_notation() {
        assert_all(
            Scope::LinkLocal,
            &[
                "169.254.169.254",
                "169.254.42.42",
                "fe80::1",
                "febf::1",
                "::ffff:169.254.169.254",
                "64:ff9b::169.254.169.254",
                "2002:a9fe:a9fe::",
                "2a00:1450::5efe:a9fe:a9fe",
            ],
        );
    }

    #[test]
    fn invalid_destinations() {
        assert_all(
            Scope::Invalid,
            &[
                "0.0.0.0",
                "0.1.2.3",
                "224.0.0.1",
                "240.0.0.1",
                "255.255.255.255",
                "198.18.0.1",
                "192.0.2.1",
                "::",
                "ff02::1",
                "fec0::1",
                "::ffff:224.0.0.1",
                "2001::1",
                "2001:db8::1",
                "100::1",
                "64:ff9b:1::1",
                "64:ff9b:1::a00:1",
            ],
        );
    }

    #[test]
    fn private_addresses_need_a_named_grant_and_link_local_ones_a_literal_address() {
        use Grant::{Named, Network, Wildcard};
        for (scope, expected) in [
            (Scope::Public, [true, true, true, true]),
            (Scope::Private, [false, true, true, true]),
            (Scope::LinkLocal, [false, false, true, true]),
            (Scope::Invalid, [false, false, false, false]),
        ] {
            let permitted = [
                scope.permits(Some(Wildcard), true),
                scope.permits(Some(Named), false),
                scope.permits(Some(Named), true),
                scope.permits(Some(Network), true),
            ];
            assert_eq!(permitted, expected, "{scope:?}");
            assert!(!scope.permits(None, true));
        }
    }
}
