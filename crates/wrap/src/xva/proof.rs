//! The digests that an XVA has beside its blocks.

use diskferry_codec::digest::{Algorithm, Digest};
use xxhash_rust::xxh64::Xxh64;

use crate::damage::Damage;

/// A kind of digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sha1,
    Xxh64,
}

impl Kind {
    /// By the extension of the member.
    pub fn of(extension: &str) -> Option<Self> {
        match extension {
            "checksum" => Some(Self::Sha1),
            "xxhash" => Some(Self::Xxh64),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Xxh64 => "xxh64",
        }
    }

    /// Digits in hexadecimal.
    fn digits(self) -> u64 {
        match self {
            Self::Sha1 => 40,
            Self::Xxh64 => 16,
        }
    }
}

/// A digest in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub kind: Kind,
    /// Bytes of its member: some end it with a line feed.
    pub len: u64,
    /// Whether it is that of a block of no bytes.
    pub is_of_nothing: bool,
}

impl Listed {
    pub fn new(kind: Kind, len: u64, is_of_nothing: bool) -> Option<Self> {
        let digits = kind.digits();
        (digits..=digits + 2).contains(&len).then_some(Self { kind, len, is_of_nothing })
    }

    /// The same, so many bytes behind the beginning of its block.
    pub fn behind(self, behind: u64) -> Proof {
        Proof { kind: self.kind, len: self.len, behind }
    }
}

/// Where the digest of a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub kind: Kind,
    pub len: u64,
    /// Bytes from the beginning of the block to it.
    pub behind: u64,
}

/// A digest in the making.
pub(crate) enum Sum {
    Sha1(Digest),
    Xxh64(Box<Xxh64>),
}

impl Sum {
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Sha1 => Self::Sha1(Digest::new(Algorithm::Sha1)),
            Kind::Xxh64 => Self::Xxh64(Box::new(Xxh64::new(0))),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Sha1(_) => Kind::Sha1,
            Self::Xxh64(_) => Kind::Xxh64,
        }
    }

    pub fn update(&mut self, data: &[u8]) {
        match self {
            Self::Sha1(digest) => digest.update(data),
            Self::Xxh64(digest) => digest.update(data),
        }
    }

    /// Compares it with the text that stands beside the block of that name.
    ///
    /// # Errors
    /// [`Damage::Block`] where it is another.
    pub fn compare(self, block: &str, stated: &[u8]) -> Result<(), Damage> {
        let kind = self.kind().name();
        let found = match self {
            Self::Sha1(digest) => digest.finish(),
            Self::Xxh64(digest) => format!("{:016x}", digest.digest()),
        };
        // xapi has xxh64 in upper case, and SHA-1 in lower case.
        let stated = stated.trim_ascii();
        if stated.eq_ignore_ascii_case(found.as_bytes()) {
            return Ok(());
        }
        let stated = String::from_utf8_lossy(stated).into_owned();
        Err(Damage::Block { name: block.to_owned(), kind, found, stated })
    }
}
