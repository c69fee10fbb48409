//! vrrpctl

fn main() {}
