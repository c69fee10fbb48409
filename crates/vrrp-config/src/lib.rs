//! vrrp-config
