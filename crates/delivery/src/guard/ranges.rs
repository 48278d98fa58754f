//! The addresses that no webhook has business with.
//!
//! IPv4 is judged by a list of what is refused. IPv6 is judged by a list of what is allowed (`2000::/3`) and what is
//! taken from that, so that a way of writing an inner address which nobody thought of is refused. The other IPv6
//! ranges are listed only to be named in messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use IpAddr::{V4, V6};

/// A block of addresses with its name.
#[derive(Debug)]
pub(super) struct Range {
    base: IpAddr,
    prefix: u32,
    /// What the block is for, as it is told to people.
    name: &'static str,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u32, name: &'static str) -> Range {
    Range { base: V4(Ipv4Addr::new(a, b, c, d)), prefix, name }
}

const fn v6(segments: [u16; 8], prefix: u32, name: &'static str) -> Range {
    let [a, b, c, d, e, f, g, h] = segments;
    Range { base: V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix, name }
}

/// The first of several blocks that fits names the address, so single hosts stand before the block around them.
pub(super) const SPECIAL_V4: &[Range] = &[
    v4(0, 0, 0, 0, 8, "an address of this network"),
    v4(10, 0, 0, 0, 8, "a private address"),
    v4(100, 100, 100, 200, 32, "a cloud's metadata service"),
    v4(100, 64, 0, 0, 10, "a carrier's shared address"),
    v4(127, 0, 0, 0, 8, "a loopback address"),
    v4(168, 63, 129, 16, 32, "a cloud's host service"),
    v4(169, 254, 169, 254, 32, "a cloud's metadata service"),
    v4(169, 254, 0, 0, 16, "a link-local address"),
    v4(172, 16, 0, 0, 12, "a private address"),
    v4(192, 0, 0, 192, 32, "a cloud's metadata service"),
    v4(192, 0, 0, 0, 24, "an address kept for protocols"),
    v4(192, 0, 2, 0, 24, "an address kept for documentation"),
    v4(192, 31, 196, 0, 24, "an address kept for name service"),
    v4(192, 52, 193, 0, 24, "an address kept for multicast tunnels"),
    v4(192, 88, 99, 0, 24, "an address of the retired 6to4 relays"),
    v4(192, 168, 0, 0, 16, "a private address"),
    v4(192, 175, 48, 0, 24, "an address kept for name service"),
    v4(198, 18, 0, 0, 15, "an address kept for benchmarks"),
    v4(198, 51, 100, 0, 24, "an address kept for documentation"),
    v4(203, 0, 113, 0, 24, "an address kept for documentation"),
    v4(224, 0, 0, 0, 4, "a multicast address"),
    v4(255, 255, 255, 255, 32, "the broadcast address"),
    v4(240, 0, 0, 0, 4, "a reserved address"),
];

/// The only IPv6 addresses that are handed out to hosts of the public Internet.
pub(super) const GLOBAL_V6: Range = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, "a global address");

/// What is refused although it lies within [`GLOBAL_V6`].
pub(super) const SPECIAL_V6: &[Range] = &[
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "a Teredo address"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "an address kept for protocols"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "an address kept for documentation"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "a 6to4 address"),
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, "an address kept for name service"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "an address kept for documentation"),
];

/// Names for what lies outside [`GLOBAL_V6`] and is refused for that.
const NAMED_V6: &[Range] = &[
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, "the unspecified address"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "a loopback address"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, "an IPv4-compatible address"),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "an IPv4-translated address"),
    v6([0, 0, 0, 0, 0, 0x5efe, 0, 0], 96, "an ISATAP address"),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "an address of a local NAT64"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "a discard address"),
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, "a dummy address"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "a segment-routing address"),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, "a cloud's metadata service"),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, "a cloud's metadata service"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "a private address"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "a link-local address"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "a site-local address"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "a multicast address"),
];

/// How IPv6 writes an IPv4 address; what is dialled is that one.
const MAPPED: Range = v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "an IPv4-mapped address");

/// The well-known prefix behind which a NAT64 gateway reaches IPv4 hosts.
const NAT64: Range = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "a NAT64 address");

/// Where the hosts of private networks and of this machine lie: what a destination may be allowed to reach.
const PRIVATE: &[Range] = &[
    v4(10, 0, 0, 0, 8, "a private address"),
    v4(100, 64, 0, 0, 10, "a carrier's shared address"),
    v4(127, 0, 0, 0, 8, "a loopback address"),
    v4(172, 16, 0, 0, 12, "a private address"),
    v4(192, 168, 0, 0, 16, "a private address"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "a loopback address"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "a private address"),
];

/// What hands out a machine's credentials to whoever asks from it. A host that is allowed by name may lie anywhere
/// else inside, and not here.
const METADATA: &[Range] = &[
    v4(100, 100, 100, 200, 32, "a cloud's metadata service"),
    v4(168, 63, 129, 16, 32, "a cloud's host service"),
    v4(169, 254, 0, 0, 16, "a link-local address"),
    v4(192, 0, 0, 192, 32, "a cloud's metadata service"),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, "a cloud's metadata service"),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, "a cloud's metadata service"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "a link-local address"),
];

impl Range {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (V4(base), V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                (base.to_bits() ^ address.to_bits()) & mask == 0
            }
            (V6(base), V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                (base.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// What makes an address unfit for a webhook, or `None` for one of the public Internet.
pub(super) fn unfit(address: IpAddr) -> Option<&'static str> {
    match judged(address) {
        address @ V4(_) => name_in(SPECIAL_V4, address),
        address if GLOBAL_V6.contains(address) => name_in(SPECIAL_V6, address),
        address => Some(name_in(NAMED_V6, address).unwrap_or("not a global address")),
    }
}

/// What makes an address unfit even for a destination that may lie in a private network or on this machine.
pub(super) fn unfit_inside(address: IpAddr) -> Option<&'static str> {
    metadata(address).or_else(|| match name_in(PRIVATE, judged(address)) {
        Some(_) => None,
        None => unfit(address),
    })
}

/// What makes an address unfit even for a host that is allowed by name.
pub(super) fn metadata(address: IpAddr) -> Option<&'static str> {
    name_in(METADATA, address).or_else(|| match address {
        V4(_) => None,
        V6(outer) => embedded_v4(outer).and_then(|inner| name_in(METADATA, V4(inner))),
    })
}

/// The address that the verdict is about: behind a mapped and a NAT64 address, the IPv4 one that is reached.
fn judged(address: IpAddr) -> IpAddr {
    match address {
        V6(outer) if MAPPED.contains(address) || NAT64.contains(address) => V4(last_four_bytes(outer)),
        other => other,
    }
}

fn name_in(ranges: &[Range], address: IpAddr) -> Option<&'static str> {
    ranges.iter().find(|range| range.contains(address)).map(|range| range.name)
}

/// The IPv4 address that a system or a gateway would make of an IPv6 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0 | 0xffff | 0x5efe]
        | [0, 0, 0, 0, 0xffff, 0]
        | [0x64, 0xff9b, 0, 0, 0, 0]
        | [0x64, 0xff9b, 1, ..] => Some(joined(g, h)),
        [0x2002, high, low, ..] => Some(joined(high, low)),
        _ => None,
    }
}

fn last_four_bytes(address: Ipv6Addr) -> Ipv4Addr {
    let [.., high, low] = address.segments();
    joined(high, low)
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low))
}
