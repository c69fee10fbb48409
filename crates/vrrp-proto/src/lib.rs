//! vrrp-proto
