//! The doctor: each fault is planted, and found by its name and nothing else beside it; a healthy pair has none.

mod addresses;
mod capture;
mod daemon;
mod healthy;
mod host;
mod interface;
mod others;
mod refused;
mod tools;
