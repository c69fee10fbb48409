//! One virtual address: which texts are addresses, and which addresses may be virtual.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_proto::types::is_link_local;
use vrrp_proto::{Family, VirtualAddress};

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::section::Given;

/// Reads `"192.0.2.254/24"`.
pub(crate) fn read(given: &Given<&str>, findings: &mut Vec<Finding>) -> Option<VirtualAddress> {
    let refuse = |code, message: String, label: &str, help: String| {
        Finding::error(code, given.span.clone(), message)
            .label(label)
            .help(help)
    };
    let text = given.value;
    if text.split_whitespace().next() != Some(text) {
        let (label, help) = explain(text);
        let message = format!(
            "\"{}\" is not an address with a prefix length",
            excerpt(text)
        );
        findings.push(refuse(code::ADDRESS, message, label, help));
        return None;
    }
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        let (label, help) = explain(text);
        findings.push(refuse(
            code::ADDRESS,
            format!("\"{}\" is not an IP address", excerpt(text)),
            label,
            help,
        ));
        return None;
    };
    let usual = match ip {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 64,
    };
    let Some(prefix) = prefix else {
        let help = format!("did you mean \"{ip}/{usual}\"? Use the prefix length of the subnet");
        findings.push(refuse(
            code::PREFIX,
            format!("\"{ip}\" has no prefix length"),
            "expected address/length",
            help,
        ));
        return None;
    };
    let longest = Family::of(ip).address_len() * 8;
    let length = prefix
        .parse::<u8>()
        .ok()
        .filter(|_| prefix.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(prefix_len) = length.filter(|length| *length > 0 && usize::from(*length) <= longest)
    else {
        let meant = prefix
            .parse::<Ipv4Addr>()
            .ok()
            .and_then(netmask_len)
            .unwrap_or(usual);
        let message = format!("\"{}\" has no valid prefix length", excerpt(text));
        let help = format!("did you mean \"{ip}/{meant}\"?");
        findings.push(refuse(
            code::PREFIX,
            message,
            &format!("expected a length from 1 to {longest}"),
            help,
        ));
        return None;
    };
    if let Some((what, help)) = unfit(ip, prefix_len) {
        let message = format!("{ip}/{prefix_len} is {what}");
        findings.push(refuse(
            code::ADDRESS_KIND,
            message,
            "cannot be a virtual address",
            help,
        ));
        return None;
    }
    Some(VirtualAddress { ip, prefix_len })
}

/// Why `text` is no address: a label and a help.
pub(crate) fn explain(text: &str) -> (&'static str, String) {
    let first = text.split_whitespace().next().unwrap_or_default();
    if first.is_empty() {
        return (
            "empty",
            "write an address and its prefix length, such as \"192.0.2.254/24\"".to_owned(),
        );
    }
    let address = first.split('/').next().unwrap_or_default();
    if first != text && address.parse::<IpAddr>().is_ok() {
        let help = format!("write only \"{first}\"; the interface comes from `interface`");
        return ("more than an address", help);
    }
    if let Some((bare, _)) = address.split_once('%')
        && bare.parse::<Ipv6Addr>().is_ok()
    {
        let rest = &first[address.len()..];
        return (
            "with a zone",
            format!("write \"{bare}{rest}\"; the interface comes from `interface`"),
        );
    }
    let octets: Vec<&str> = address.split('.').collect();
    if octets
        .iter()
        .all(|octet| !octet.is_empty() && octet.bytes().all(|byte| byte.is_ascii_digit()))
    {
        if octets.len() != 4 {
            return (
                "not four numbers",
                "an IPv4 address has four numbers, such as \"192.0.2.254/24\"".to_owned(),
            );
        }
        if let Some(large) = octets.iter().find(|octet| octet.parse::<u8>().is_err()) {
            return (
                "a number is too large",
                format!("{} is above 255", excerpt(large)),
            );
        }
        let plain: Vec<String> = octets
            .iter()
            .filter_map(|octet| octet.parse::<u8>().ok())
            .map(|n| n.to_string())
            .collect();
        return (
            "with leading zeros",
            format!("write \"{}{}\"", plain.join("."), &first[address.len()..]),
        );
    }
    if address.contains(':') {
        return (
            "not a valid IPv6 address",
            "an IPv6 address looks like \"2001:db8::1/64\"".to_owned(),
        );
    }
    (
        "not an address",
        "names are not looked up; write an address such as \"192.0.2.254/24\"".to_owned(),
    )
}

fn netmask_len(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let length = bits.leading_ones();
    (length + bits.trailing_zeros() == 32 && length > 0)
        .then(|| u8::try_from(length).ok())
        .flatten()
}

/// What kind of address `ip` is if it cannot be virtual, and what to do.
fn unfit(ip: IpAddr, prefix_len: u8) -> Option<(&'static str, String)> {
    let pick = || "use an address of the subnet that no other host has".to_owned();
    if ip.is_unspecified() {
        return Some(("the unspecified address", pick()));
    }
    if ip.is_loopback() {
        return Some(("a loopback address", pick()));
    }
    if ip.is_multicast() {
        let help = match ip {
            IpAddr::V4(_) => {
                "the group 224.0.0.18 is used by itself; list the address that clients use as their gateway"
            }
            IpAddr::V6(_) => {
                "the group ff02::12 is used by itself; list the address that clients use as their gateway"
            }
        };
        return Some(("a multicast address", help.to_owned()));
    }
    match ip {
        IpAddr::V4(v4) => {
            if v4.octets()[0] == 0 {
                return Some(("not a host address", pick()));
            }
            if v4.is_broadcast() {
                return Some(("the limited broadcast address", pick()));
            }
            // RFC 3021: a /31 has two hosts and neither a network nor a broadcast address.
            if prefix_len >= 31 {
                return None;
            }
            let host_mask = u32::MAX >> prefix_len;
            let network = v4.to_bits() & !host_mask;
            let range = || {
                let (first, last) = (
                    Ipv4Addr::from_bits(network + 1),
                    Ipv4Addr::from_bits((network | host_mask) - 1),
                );
                format!("hosts of this subnet are {first} to {last}")
            };
            if v4.to_bits() == network {
                Some(("the network address of its subnet", range()))
            } else if v4.to_bits() == network | host_mask {
                Some(("the broadcast address of its subnet", range()))
            } else {
                None
            }
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped() {
                return Some((
                    "an IPv4 address in IPv6 form",
                    format!("write \"{v4}/24\" with the length of its subnet"),
                ));
            }
            // RFC 6164: a /127 has two hosts and no anycast address.
            let host_mask = if prefix_len >= 127 {
                0
            } else {
                u128::MAX >> prefix_len
            };
            (host_mask != 0 && v6.to_bits() & host_mask == 0).then(|| {
                (
                    "the subnet-router anycast address (RFC 4291, section 2.6.1)",
                    pick(),
                )
            })
        }
    }
}

pub(crate) fn is_link_local_ip(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if is_link_local(v6))
}

/// As sentences name it.
pub(crate) fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}
