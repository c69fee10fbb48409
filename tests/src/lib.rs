//! The namespace laboratory.
