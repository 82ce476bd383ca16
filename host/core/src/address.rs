//! Which addresses an outgoing request may be sent to.
//!
//! IPv4 follows IANA's registry of special-purpose addresses. Of IPv6 only what is allocated for global unicast, `2000::/3`,
//! can be public at all; the rest is refused without having to be listed. Addresses that carry an IPv4 address inside
//! are refused as a form, since whoever translates them may take them anywhere.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[cfg(test)]
mod tests;

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The public internet.
    Public,
    /// A network of the operator's own: open where the operator says so. The text names the kind.
    Private(&'static str),
    /// Nobody's service, or one that hands out the machine's credentials: open to nobody. The text names the kind.
    Never(&'static str),
}

use Reach::{Never, Private, Public};

const METADATA: Reach = Never("a metadata service of a cloud");

/// Network, bits of its prefix, reach. The first that holds the address counts; what none holds is public.
const IPV4: &[(Ipv4Addr, u32, Reach)] = &[
    (Ipv4Addr::new(169, 254, 169, 254), 32, METADATA), // most clouds
    (Ipv4Addr::new(169, 254, 170, 2), 32, METADATA),   // AWS, tasks
    (Ipv4Addr::new(169, 254, 170, 23), 32, METADATA),  // AWS, pods
    (Ipv4Addr::new(100, 100, 100, 200), 32, METADATA), // Alibaba
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),   // Azure
    (Ipv4Addr::new(192, 0, 0, 192), 32, METADATA),     // Oracle
    (Ipv4Addr::new(0, 0, 0, 0), 8, Never("this host or this network")),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Private("a private address")),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Private("a provider's shared address")),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Private("a loopback address")),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Never("a link-local address")),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Private("a private address")),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Never("an address of protocols")),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Never("an address for documentation")),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Never("a relay of 6to4")),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Private("a private address")),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Never("an address for benchmarks")),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Never("an address for documentation")),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Never("an address for documentation")),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Never("a multicast address")),
    (Ipv4Addr::BROADCAST, 32, Never("the broadcast address")),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Never("a reserved address")),
];

/// The same for IPv6; what none holds is reserved.
const IPV6: &[(Ipv6Addr, u32, Reach)] = &[
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, METADATA), // AWS
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), 128, METADATA),  // AWS, pods
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, METADATA),  // Google
    (Ipv6Addr::UNSPECIFIED, 128, Never("the unspecified address")),
    (Ipv6Addr::LOCALHOST, 128, Private("a loopback address")),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, Never("an IPv4-mapped address")),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, Never("an IPv4-translated address")),
    (Ipv6Addr::UNSPECIFIED, 96, Never("an IPv4-compatible address")),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Never("an address of a local NAT64")),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, Never("an address of Teredo")),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, Never("an address for benchmarks")),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Never("an address of protocols")),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Never("an address for documentation")),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Never("an address of 6to4")),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Never("an address for documentation")),
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Public),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Private("a unique local address")),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Never("a link-local address")),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Never("a site-local address")),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Never("a multicast address")),
];

/// The well-known prefix of NAT64, before an IPv4 address.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

impl Reach {
    /// How far this address reaches.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_ipv4(address),
            IpAddr::V6(address) => of_ipv6(address),
        }
    }
}

fn of_ipv4(address: Ipv4Addr) -> Reach {
    let holds = |network: &Ipv4Addr, prefix: u32| (address.to_bits() ^ network.to_bits()) >> (32 - prefix) == 0;
    IPV4.iter().find(|(network, prefix, _)| holds(network, *prefix)).map_or(Public, |(_, _, reach)| *reach)
}

fn of_ipv6(address: Ipv6Addr) -> Reach {
    if let [rest @ .., high, low] = address.segments()
        && rest == NAT64
    {
        // Networks without IPv4 reach all of it so. Their operator knows, and what no one may reach is still closed.
        return match of_ipv4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))) {
            Never(kind) => Never(kind),
            Public | Private(_) => Private("an address of NAT64"),
        };
    }
    let holds = |network: &Ipv6Addr, prefix: u32| (address.to_bits() ^ network.to_bits()) >> (128 - prefix) == 0;
    let found = IPV6.iter().find(|(network, prefix, _)| holds(network, *prefix));
    found.map_or(Never("a reserved address"), |(_, _, reach)| *reach)
}

/// An address that an origin may not be reached at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// The address.
    pub address: IpAddr,
    /// What kind it is.
    pub kind: &'static str,
    /// Whether the operator can open it.
    pub can_be_opened: bool,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.address, self.kind)
    }
}

/// Whether an origin may be reached at all of these addresses: one that is forbidden forbids them all, since whoever
/// answers for the name may have mixed them. `private` is what the operator says about the origin.
///
/// # Errors
/// The first forbidden address.
pub fn check(addresses: &[IpAddr], private: bool) -> Result<(), Forbidden> {
    addresses.iter().try_for_each(|&address| match Reach::of(address) {
        Public => Ok(()),
        Private(_) if private => Ok(()),
        Private(kind) => Err(Forbidden { address, kind, can_be_opened: true }),
        Never(kind) => Err(Forbidden { address, kind, can_be_opened: false }),
    })
}
