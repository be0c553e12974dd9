//! The `diskferry` command.
fn main() {}
