//! Digests of a disk's content, fed in the order of the disk, and CRC-32 in parts.

use std::fmt::{self, Write};
use std::str::FromStr;

use ::digest::DynDigest;
use crc32fast::Hasher;
use serde::{Deserialize, Serialize};

/// A kind of digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// CRC-32 as in zip and zlib (polynomial 0x04c11db7, reflected): finds accidents, not forgery.
    Crc32,
    /// MD5 (RFC 1321): finds accidents, not forgery.
    Md5,
    /// SHA-1 (FIPS 180-4): finds accidents, not forgery.
    Sha1,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
}

impl Algorithm {
    /// Every algorithm, the shortest digest first.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// Its name on the command line and in reports, such as `sha256`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Reads a [name](Self::name) as it is written, in lower case.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

/// A name that is no [`Algorithm`]'s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown digest `{0}`")]
pub struct UnknownAlgorithm(pub String);

/// A digest in the making.
pub struct Digest {
    algorithm: Algorithm,
    state: State,
}

enum State {
    Crc32(Crc32Part),
    Hash(Box<dyn DynDigest + Send>),
}

impl Digest {
    /// Starts a digest of no bytes.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Crc32 => State::Crc32(Crc32Part::default()),
            Algorithm::Md5 => State::Hash(Box::new(md5::Md5::default())),
            Algorithm::Sha1 => State::Hash(Box::new(sha1::Sha1::default())),
            Algorithm::Sha256 => State::Hash(Box::new(sha2::Sha256::default())),
            Algorithm::Sha512 => State::Hash(Box::new(sha2::Sha512::default())),
        };
        Self { algorithm, state }
    }

    /// What kind of digest it is.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.state {
            State::Crc32(sum) => *sum = sum.extend(data),
            State::Hash(hash) => hash.update(data),
        }
    }

    /// Takes in the next `len` bytes, all zero. CRC-32 does it at once; the others read every one of them, some
    /// hundred MiB each second, so a caller who may have to stop tells long runs in steps of a few MiB.
    pub fn zeros(&mut self, mut len: u64) {
        match &mut self.state {
            State::Crc32(sum) => *sum = sum.combine(Crc32Part::zeros(len)),
            State::Hash(hash) => {
                while len > 0 {
                    let step = usize::try_from(len).map_or(ZEROS.len(), |len| len.min(ZEROS.len()));
                    hash.update(&ZEROS[..step]);
                    len -= step as u64;
                }
            }
        }
    }

    /// The digest in hexadecimal, lower case: 8 digits for CRC-32, 32 to 128 for the others.
    #[must_use]
    pub fn finish(self) -> String {
        match self.state {
            State::Crc32(sum) => sum.to_string(),
            State::Hash(hash) => hash.finalize().iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a String takes all that is written to it");
                text
            }),
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The CRC-32 of a part of the whole: parts may be computed in any order, on any thread, and combined in theirs. The
/// default is the part of no bytes. It shows as 8 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc32Part {
    /// The CRC-32 of the part alone.
    pub crc: u32,
    /// The part's length in bytes.
    pub len: u64,
}

/// The CRC-32 of `data`.
#[must_use]
pub fn crc32(data: &[u8]) -> Crc32Part {
    Crc32Part::default().extend(data)
}

impl Crc32Part {
    /// The CRC-32 of `len` bytes of zero, in a time that grows with the logarithm of `len`.
    #[must_use]
    pub fn zeros(len: u64) -> Self {
        let mut sum = Self::default();
        let mut run = crc32(&[0]);
        for bit in 0..u64::BITS - len.leading_zeros() {
            if bit > 0 {
                run = run.combine(run);
            }
            if len >> bit & 1 == 1 {
                sum = sum.combine(run);
            }
        }
        sum
    }

    /// The CRC-32 of this part with `data` after it.
    #[must_use]
    pub fn extend(self, data: &[u8]) -> Self {
        let mut hasher = Hasher::new_with_initial(self.crc);
        hasher.update(data);
        Self { crc: hasher.finalize(), len: self.len + data.len() as u64 }
    }

    /// The CRC-32 of this part with the part `next` after it.
    #[must_use]
    pub fn combine(self, next: Self) -> Self {
        let mut hasher = Hasher::new_with_initial(self.crc);
        hasher.combine(&Hasher::new_with_initial_len(next.crc, next.len));
        Self { crc: hasher.finalize(), len: self.len + next.len }
    }
}

impl fmt::Display for Crc32Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.crc)
    }
}

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(algorithm: Algorithm, data: &[u8]) -> String {
        let mut digest = Digest::new(algorithm);
        digest.update(data);
        digest.finish()
    }

    #[test]
    fn digests_of_the_standards_test_words() {
        let cases = [
            (Algorithm::Crc32, &b"123456789"[..], "cbf43926"),
            (Algorithm::Crc32, b"", "00000000"),
            // A CRC-32 with a leading zero keeps its 8 digits.
            (Algorithm::Crc32, b"33", "0a6216d9"),
            (Algorithm::Md5, b"abc", "900150983cd24fb0d6963f7d28e17f72"),
            (Algorithm::Sha1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                Algorithm::Sha256,
                b"abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                Algorithm::Sha512,
                b"abc",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ];
        for (algorithm, data, expected) in cases {
            assert_eq!(digest(algorithm, data), expected, "{algorithm}");
        }
    }

    #[test]
    fn names_read_back_and_others_are_refused() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
        for name in ["", "SHA256", "sha-256", "sha25"] {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm(name.to_owned())));
        }
    }

    #[test]
    fn zeros_told_are_zeros_fed() {
        for algorithm in Algorithm::ALL {
            for len in [0, 1, 2, 3, 511, 65535, 65536, 65537, 1_000_003] {
                let mut told = Digest::new(algorithm);
                told.update(b"before");
                told.zeros(len as u64);
                told.update(b"after");
                let fed = [&b"before"[..], &vec![0; len], b"after"].concat();
                assert_eq!(told.finish(), digest(algorithm, &fed), "{algorithm}, {len} zeros");
            }
        }
    }

    #[test]
    fn zeros_of_any_length_split_anywhere() {
        for len in [5, 1 << 32, (1 << 46) + 12345, u64::MAX] {
            for cut in [0, 1, len / 3, len - 1] {
                let parts = Crc32Part::zeros(cut).combine(Crc32Part::zeros(len - cut));
                assert_eq!(parts, Crc32Part::zeros(len), "{len} cut at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn crc_parts_combine_to_the_whole(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8)) {
            let sum = parts.iter().fold(Crc32Part::default(), |sum, part| sum.combine(crc32(part)));
            prop_assert_eq!(sum, crc32(&parts.concat()));
        }

        #[test]
        fn feeding_in_pieces_makes_no_difference(data in prop::collection::vec(any::<u8>(), 0..3000), piece in 1usize..400) {
            for algorithm in Algorithm::ALL {
                let mut pieces = Digest::new(algorithm);
                data.chunks(piece).for_each(|part| pieces.update(part));
                prop_assert_eq!(pieces.finish(), digest(algorithm, &data));
            }
        }
    }
}
