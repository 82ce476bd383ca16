//! Callgate.
fn main() {}
