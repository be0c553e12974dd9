//! The maps of sparse members: where what is stored of them belongs.

use diskferry_block_stream::{Error, Result};

use super::block::{BLOCK, Block, decimal};
use crate::damage::Damage;
use crate::peek::Ahead;
use crate::segment::Segment;

/// Stored stretches of a member: offset and length.
pub(super) type Map = Vec<(u64, u64)>;

/// Where the stretches of a member of `size` bytes are, which are stored one after the other.
pub(super) fn segments(
    at: u64,
    map: &Map,
    size: u64,
    stored: u64,
    begun: u64,
) -> Result<Vec<Segment>> {
    let damage = |problem| Error::from(Damage::Map { at, problem });
    let mut segments: Vec<Segment> = Vec::new();
    let (mut end, mut used) = (0, 0);
    for &(offset, length) in map {
        if offset < end {
            return Err(damage("goes back"));
        }
        end = offset.saturating_add(length);
        if end > size {
            return Err(damage("goes past the member's end"));
        }
        if length > 0 && used % BLOCK != 0 {
            return Err(damage("has a stretch that ends within a block"));
        }
        let from = begun + used;
        if length > stored - used {
            return Err(damage("is of more data than there are"));
        }
        used += length;
        match segments.last_mut() {
            Some(last) if last.at + last.len == offset => last.len += length,
            _ if length > 0 => segments.push(Segment { at: offset, len: length, from }),
            _ => {}
        }
    }
    if used < stored {
        return Err(damage("is of less data than there are"));
    }
    Ok(segments)
}

/// Lines of numbers, in blocks.
pub(super) struct Lines {
    at: u64,
    block: Block,
    next: usize,
}

impl Lines {
    /// The lines that come next, in the member at `at`.
    pub fn new(at: u64) -> Self {
        Self { at, block: [0; BLOCK as usize], next: BLOCK as usize }
    }

    pub fn number(&mut self, source: &mut dyn Ahead) -> Result<u64> {
        let mut digits = Vec::new();
        loop {
            if self.next == self.block.len() {
                source.fill(&mut self.block)?;
                self.next = 0;
            }
            let byte = self.block[self.next];
            self.next += 1;
            if byte == b'\n' {
                break;
            }
            digits.push(byte);
            if digits.len() > 20 {
                break;
            }
        }
        let problem = "has a line that is no number";
        Ok(decimal(&digits).ok_or(Damage::Map { at: self.at, problem })?)
    }
}
