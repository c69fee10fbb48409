//! Settings that the kernel offers as files only. The files are those of the calling thread's network namespace.

use std::fs;
use std::io;

use super::observed::Ipv6Key;

/// Sets `net.ipv6.conf.<link>.<key>`.
pub(super) fn set_ipv6(link: &str, key: Ipv6Key, value: i32) -> io::Result<()> {
    fs::write(
        format!("/proc/sys/net/ipv6/conf/{link}/{}", key.name()),
        value.to_string(),
    )
}

/// `net.ipv4.conf.all.rp_filter`
pub(super) fn rp_filter_all() -> io::Result<i32> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/conf/all/rp_filter")?;
    text.trim()
        .parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
