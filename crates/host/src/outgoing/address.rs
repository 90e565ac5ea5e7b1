//! Which addresses are public. What isn't (this machine, its neighbours, the cloud's metadata
//! service) is nobody's business but those whom the manifest sends there.
//!
//! Sources: IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890 and updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tirage_manifest::Grant;

/// How far an address reaches. The later, the less is it anybody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// Anybody may be there.
    Public,
    /// This machine or a private network: for hosts that the manifest names.
    Private,
    /// Link-local, where clouds have their metadata services: for addresses that the manifest
    /// names as such. A name that leads here is somebody's who wants to get in.
    LinkLocal,
    /// Never a destination: unspecified, multicast, documentation, reserved.
    Nowhere,
}

impl Reach {
    /// Whether a connection may be made. `grant` says how the manifest allows the host, and
    /// `is_literal` that the host is the address itself and not a name that was looked up.
    pub(super) fn permits(self, grant: Option<Grant>, is_literal: bool) -> bool {
        match grant {
            None => false,
            Some(Grant::Wildcard) => self == Self::Public,
            Some(Grant::Named | Grant::Network) if is_literal => self <= Self::LinkLocal,
            Some(Grant::Named | Grant::Network) => self <= Self::Private,
        }
    }
}

pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127, ..] | [10, ..] | [192, 168, ..] => Reach::Private,
        [172, second, ..] if second & 0xf0 == 16 => Reach::Private,
        // Carrier-grade NAT (RFC 6598); some clouds keep services there.
        [100, second, ..] if second & 0xc0 == 64 => Reach::Private,
        [169, 254, ..] => Reach::LinkLocal,
        // "This network", protocol assignments, documentation, benchmarking, 6to4 relays, multicast
        // and what is reserved above it.
        [0, ..]
        | [192, 0, 0, _]
        | [192, 0, 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Reach::Nowhere,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Nowhere,
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private,
        [0xfe80..=0xfebf, ..] => Reach::LinkLocal,
        // IPv4 in IPv6: mapped, compatible, translated (RFC 4291, 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => reach_v4(embedded_v4(high, low)),
        // Unique local.
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // Global unicast is 2000::/3; inside it protocol assignments (Teredo hides an IPv4
        // address), documentation and segment routing are none.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Reach::Nowhere,
        // ISATAP (RFC 5214) tunnels to the IPv4 address in the interface's half, under any prefix.
        [0x2000..=0x3fff, _, _, _, 0 | 0x200, 0x5efe, high, low] => {
            reach_v4(embedded_v4(high, low))
        }
        [0x2000..=0x3fff, ..] => Reach::Public,
        // Among others the prefix for local translators (RFC 8215): what it leads to is unknown.
        _ => Reach::Nowhere,
    }
}

fn embedded_v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_all(expected: Reach, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn public_addresses() {
        assert_all(
            Reach::Public,
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
    fn private_addresses_however_they_are_written() {
        assert_all(
            Reach::Private,
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
    fn link_local_addresses_however_they_are_written() {
        assert_all(
            Reach::LinkLocal,
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
    fn addresses_that_are_nobodys() {
        assert_all(
            Reach::Nowhere,
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
    fn what_isnt_public_has_to_be_named_and_link_local_as_an_address() {
        use Grant::{Named, Network, Wildcard};
        for (reach, by) in [
            (Reach::Public, [true, true, true, true]),
            (Reach::Private, [false, true, true, true]),
            (Reach::LinkLocal, [false, false, true, true]),
            (Reach::Nowhere, [false, false, false, false]),
        ] {
            let permitted = [
                reach.permits(Some(Wildcard), true),
                reach.permits(Some(Named), false),
                reach.permits(Some(Named), true),
                reach.permits(Some(Network), true),
            ];
            assert_eq!(permitted, by, "{reach:?}");
            assert!(!reach.permits(None, true));
        }
    }
}
