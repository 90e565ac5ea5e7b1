//! Which addresses are public. What isn't (this machine, its neighbours, the cloud's metadata
//! service) is nobody's business but those whom the manifest sends there.
//!
//! Sources: IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890 and updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Anybody may be there.
    Public,
    /// This machine or a private network: only for hosts that the manifest names.
    Private,
    /// Never a destination: unspecified, link-local (metadata services), multicast, reserved.
    Forbidden,
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
        // "This network", link-local, protocol assignments, documentation, benchmarking, 6to4
        // relays, multicast and what is reserved above it.
        [0, ..]
        | [169, 254, ..]
        | [192, 0, 0, _]
        | [192, 0, 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Reach::Forbidden,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Forbidden,
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private,
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
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => {
            Reach::Forbidden
        }
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Forbidden,
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
            ],
        );
    }

    #[test]
    fn addresses_that_are_nobodys() {
        assert_all(
            Reach::Forbidden,
            &[
                "0.0.0.0",
                "0.1.2.3",
                "169.254.169.254",
                "224.0.0.1",
                "240.0.0.1",
                "255.255.255.255",
                "198.18.0.1",
                "192.0.2.1",
                "::",
                "fe80::1",
                "ff02::1",
                "fec0::1",
                "::ffff:169.254.169.254",
                "2002:a9fe:a9fe::",
                "2001::1",
                "2001:db8::1",
                "100::1",
                "64:ff9b:1::1",
            ],
        );
    }
}
