//! vrrp-control
