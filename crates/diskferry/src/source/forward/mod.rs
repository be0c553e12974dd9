//! What disks that come in order are made of, from the reader up: what is read is counted, the raw disk of it, what may
//! stand behind its end, its bounds, and its beginning, kept to be looked at.

pub mod bounded;
pub mod counted;
pub mod footed;
pub mod lookahead;
pub mod raw;
