//! Tar archives, member by member: ustar, pax and GNU's, sparse members of every kind included.
//!
//! ```text
//! member:   | header, 512 bytes | data | zeros to a whole block |
//! archive:  | [extended header: a member of type x, g or L] member | … | [a block of zeros …] |
//!
//! header, offsets in bytes:
//!   0 name 100   124 size 12   148 checksum 8   156 type 1   257 magic 8   345 prefix 155 (ustar)
//!   GNU, type S: 386 four of (offset 12, length 12)   482 more follow   483 real size 12
//!   a block of more: 21 of (offset 12, length 12)     504 more follow
//! ```
//!
//! Numbers are octal text; or, where the first bit is set, binary and big-endian. Sources: POSIX.1 (pax),
//! GNU tar's manual, "Basic Tar Format", "GNU extensions" and "Storing Sparse Files".
//!
//! POSIX ends an archive with two blocks of zeros. One will do, and none: VirtualBox 7.2 writes its OVAs so,
//! and GNU tar reads them without a word. What breaks off in a header, in data or in the zeros behind them
//! is damage, as it is to GNU tar: who writes archives writes whole blocks.
//!
//! This is a reader of our own because no published one tells where the data of sparse members of
//! all kinds are in the archive, bounds what a map may take, and names the place of a damage.

mod block;
mod entry;
mod extended;
mod headers;
mod sparse;

pub(crate) use self::block::begins;
pub(crate) use self::entry::Entry;
pub use self::entry::Kind;
pub(crate) use self::headers::Headers;
