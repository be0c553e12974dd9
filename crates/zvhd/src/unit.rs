//! What is the same for every unit, wherever it is read.

use diskferry_codec::FLUSHED;

use crate::damage::Damage;
use crate::header::Flavour;
use crate::wire::{BLOCK, unit_length};

/// A unit's place, size and block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub at: u64,
    /// Bytes of payload, at least one.
    pub size: u32,
    pub block: u32,
}

impl Unit {
    /// Checks what a unit's head says.
    pub fn new(at: u64, size: u32, block: u32, flavour: Flavour) -> Result<Self, Damage> {
        let (length, most) = (unit_length(size), flavour.unit_max());
        if size == 0 {
            return Err(Damage::EmptyUnit { at, block });
        }
        if length > most {
            return Err(Damage::LongUnit { at, block, length, most });
        }
        Ok(Self { at, size, block })
    }

    /// Bytes of the whole unit.
    pub fn length(&self) -> u64 {
        unit_length(self.size)
    }

    /// Checks that the unit, of a disk of `size` bytes, may follow that of the block `previous`.
    pub fn check_place(&self, previous: Option<u32>, size: u64) -> Result<(), Damage> {
        let Self { at, block, .. } = *self;
        if u64::from(block) * BLOCK >= size {
            return Err(Damage::PastDisk { at, block, size });
        }
        match previous {
            Some(previous) if block <= previous => Err(Damage::UnitOrder { at, block, previous }),
            _ => Ok(()),
        }
    }

    /// Checks that a payload with these last bytes was flushed.
    pub fn check_flush(&self, tail: &[u8]) -> Result<(), Damage> {
        let Self { at, block, .. } = *self;
        if tail.ends_with(&FLUSHED) { Ok(()) } else { Err(Damage::NoFlush { at, block }) }
    }

    /// The payload without the zlib header that it begins with.
    pub fn without_header<'a>(&self, payload: &'a [u8]) -> Result<&'a [u8], Damage> {
        let Self { at, block, .. } = *self;
        let (head, rest) = payload.split_at(payload.len().min(ZLIB_HEAD));
        let found = [head.first().copied().unwrap_or(0), head.get(1).copied().unwrap_or(0)];
        if head.len() == ZLIB_HEAD && is_zlib_head(found) {
            return Ok(rest);
        }
        Err(Damage::ZlibHeader { at, block, found })
    }
}

/// Bytes of a zlib header.
pub(crate) const ZLIB_HEAD: usize = 2;

/// RFC 1950: deflate, a window of at most 32 KiB, no dictionary, and a multiple of 31.
fn is_zlib_head([method, flags]: [u8; 2]) -> bool {
    method & 0x0f == 8
        && method >> 4 <= 7
        && flags & 0x20 == 0
        && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zlib_header_without_dictionary_is_one() {
        for (head, good) in [
            ([0x78, 0x01], true),
            ([0x78, 0x9c], true),
            ([0x78, 0xda], true),
            ([0x08, 0x1d], true),
            ([0x78, 0x02], false),
            ([0x88, 0x1c], false),
            ([0x79, 0x9c], false),
            ([0x78, 0xbb], false),
        ] {
            assert_eq!(is_zlib_head(head), good, "{head:02x?}");
        }
    }

    #[test]
    fn units_are_as_long_as_the_reference_reader_can_hold() {
        for (flavour, most) in [(Flavour::Zvhd, 4_198_400), (Flavour::Zvhd2, 4_202_496)] {
            let size = most - 52;
            assert_eq!(Unit::new(0, size, 0, flavour).unwrap().length(), u64::from(most));
            for size in [size + 1, u32::MAX, 0] {
                assert!(Unit::new(0, size, 0, flavour).is_err(), "{size}");
            }
        }
    }
}
