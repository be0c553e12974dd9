//! What sources that only go forward are made of.

pub mod lookahead;
