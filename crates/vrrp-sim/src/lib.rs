//! vrrp-sim
