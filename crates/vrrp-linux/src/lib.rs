//! vrrp-linux
