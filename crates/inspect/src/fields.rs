//! Numbers and texts out of bytes that may end too early.

use byteorder::{BigEndian, ByteOrder, LittleEndian};

/// Fields by their offset; `None` where the bytes end before the field does.
pub(crate) trait Fields {
    fn part(&self, at: usize, len: usize) -> Option<&[u8]>;

    fn byte(&self, at: usize) -> Option<u8> {
        Some(self.part(at, 1)?[0])
    }

    fn le16(&self, at: usize) -> Option<u16> {
        self.part(at, 2).map(LittleEndian::read_u16)
    }

    fn le32(&self, at: usize) -> Option<u32> {
        self.part(at, 4).map(LittleEndian::read_u32)
    }

    fn le64(&self, at: usize) -> Option<u64> {
        self.part(at, 8).map(LittleEndian::read_u64)
    }

    fn be16(&self, at: usize) -> Option<u16> {
        self.part(at, 2).map(BigEndian::read_u16)
    }

    fn be32(&self, at: usize) -> Option<u32> {
        self.part(at, 4).map(BigEndian::read_u32)
    }

    fn be64(&self, at: usize) -> Option<u64> {
        self.part(at, 8).map(BigEndian::read_u64)
    }

    /// Whether these bytes stand there.
    fn has(&self, at: usize, magic: &[u8]) -> bool {
        self.part(at, magic.len()) == Some(magic)
    }

    /// The text in a field that zeros or spaces fill up; `None` where it is empty.
    fn text(&self, at: usize, len: usize) -> Option<String> {
        let field = self.part(at, len)?;
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(len);
        clean(&String::from_utf8_lossy(&field[..end]))
    }

    /// The same, in little-endian UTF-16.
    fn text16(&self, at: usize, len: usize) -> Option<String> {
        let units = self.part(at, len)?.chunks_exact(2).map(LittleEndian::read_u16);
        let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
        clean(&String::from_utf16_lossy(&units))
    }

    /// An id in the order of its bytes, as text; `None` where it is all zeros.
    fn uuid(&self, at: usize) -> Option<String> {
        let id = uuid::Uuid::from_slice(self.part(at, 16)?).ok()?;
        (!id.is_nil()).then(|| id.to_string())
    }
}

impl Fields for [u8] {
    fn part(&self, at: usize, len: usize) -> Option<&[u8]> {
        self.get(at..at.checked_add(len)?)
    }
}

/// Text from a stranger, fit for a terminal: nothing in it can move the cursor or colour a line.
pub(crate) fn clean(text: &str) -> Option<String> {
    let text = text.trim_end();
    let shown =
        |c: char| if c.is_control() || is_bidi(c) { char::REPLACEMENT_CHARACTER } else { c };
    (!text.is_empty()).then(|| text.chars().map(shown).collect())
}

/// Characters that reorder what stands around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_runs_over_the_end_is_none() {
        let bytes = [1, 2, 3, 4];
        assert_eq!(bytes.le32(0), Some(0x0403_0201));
        assert_eq!(bytes.be16(2), Some(0x0304));
        assert_eq!(bytes.le32(1), None);
        assert_eq!(bytes.le64(usize::MAX), None);
    }

    #[test]
    fn texts_end_at_a_zero_and_carry_no_escapes() {
        for (bytes, text) in [
            (&b"root\0\0junk"[..], Some("root")),
            (b"EFI SYSTEM ", Some("EFI SYSTEM")),
            (b"\0abc", None),
            (b"    ", None),
            (b"a\x1b[31mb", Some("a\u{fffd}[31mb")),
        ] {
            assert_eq!(bytes.text(0, bytes.len()).as_deref(), text);
        }
        assert_eq!(b"a\0b\0\0\0c\0".text16(0, 8).as_deref(), Some("ab"));
    }
}
