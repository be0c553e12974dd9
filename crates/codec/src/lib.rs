//! Compression sessions, zero scanning and digests: the only crate that names a compression library.
//!
//! A session ([`Deflater`], [`Inflater`], [`OpenDeflater`], [`OpenInflater`], [`ZlibPacker`], [`ZlibUnpacker`],
//! [`ZstdPacker`], [`ZstdUnpacker`], [`NoiseProbe`]) is made once for each thread and packs or
//! unpacks *units* (clusters, grains, blocks), each on its own: what a session did before never changes what it does
//! next. All lengths are in bytes.
//!
//! [`Unpacked`] is none of these: it unpacks a whole file, front to back.

#![forbid(unsafe_code)]

pub mod digest;
pub mod zeros;

mod deflate;
mod entropy;
mod error;
mod fingerprint;
mod open;
mod unpack;
mod zstandard;

#[cfg(test)]
mod samples;

pub use deflate::{Deflater, Ending, Inflater, ZlibPacker, ZlibUnpacker};
pub use entropy::entropy;
pub use error::CodecError;
pub use fingerprint::Fingerprint;
pub use open::{FLUSHED, HISTORY, OpenDeflater, OpenInflater};
pub use unpack::{UnpackError, Unpacked, Wrapper};
pub use zstandard::{NoiseProbe, ZstdPacker, ZstdUnpacker};

/// Bytes of a unit, packed or not, that a session takes at most: zlib counts them in 32 bits, and no format has units
/// of more than a few MiB.
pub const UNIT_MAX: usize = 1 << 30;
