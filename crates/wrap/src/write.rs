//! Tar headers, as they are written: the same bytes for the same member.

use diskferry_block_stream::{Error, Result};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 512;

/// Bytes of a record, which an archive has whole ones of.
const RECORD: u64 = 10240;

/// Zeros after an archive of `len` bytes: two blocks, and up to a whole record.
pub(crate) fn end(len: u64) -> usize {
    ((len + 2 * BLOCK as u64).next_multiple_of(RECORD) - len) as usize
}

/// Zeros after a member of `len` bytes.
pub(crate) fn padding(len: u64) -> usize {
    (len.next_multiple_of(BLOCK as u64) - len) as usize
}

/// Whose kind of header it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Magic {
    /// GNU tar's own, before POSIX.
    Gnu,
    /// POSIX's.
    Ustar,
}

/// A regular file of root's.
pub(crate) struct Header<'a> {
    /// At most 100 bytes.
    pub name: &'a str,
    pub size: u64,
    pub mode: u32,
    pub seconds: u64,
    pub magic: Magic,
}

impl Header<'_> {
    /// # Errors
    /// `Misuse` for a longer name.
    pub fn block(&self) -> Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        let name = self.name.as_bytes();
        if name.len() > 100 {
            return Err(Error::misuse(format!(
                "the name '{}' is longer than 100 bytes",
                self.name
            )));
        }
        block[..name.len()].copy_from_slice(name);
        octal(&mut block[100..108], u64::from(self.mode));
        octal(&mut block[108..116], 0);
        octal(&mut block[116..124], 0);
        number(&mut block[124..136], self.size);
        number(&mut block[136..148], self.seconds);
        block[156] = b'0';
        block[257..265].copy_from_slice(match self.magic {
            Magic::Gnu => b"ustar  \0",
            Magic::Ustar => b"ustar\x0000",
        });
        block[265..269].copy_from_slice(b"root");
        block[297..301].copy_from_slice(b"root");
        if self.magic == Magic::Ustar {
            octal(&mut block[329..337], 0);
            octal(&mut block[337..345], 0);
        }
        // The sum is of the header with blanks in the sum's place.
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut block[148..155], sum);
        Ok(block)
    }
}

/// Octal digits, and a NUL.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    field[..digits].copy_from_slice(&text.as_bytes()[text.len() - digits..]);
    field[digits] = 0;
}

/// Octal digits; binary, after a set bit, where they are too few: sizes from 8 GiB on.
fn number(field: &mut [u8], value: u64) {
    if value < 1 << (3 * (field.len() - 1)) {
        return octal(field, value);
    }
    field.fill(0);
    field[0] = 0x80;
    let start = field.len() - 8;
    field[start..].copy_from_slice(&value.to_be_bytes());
}
