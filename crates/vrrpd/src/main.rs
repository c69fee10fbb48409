//! vrrpd

fn main() {}
