//! The fields of a tar header.

use diskferry_block_stream::Result;

use crate::damage::Damage;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 512;

pub(super) type Block = [u8; BLOCK as usize];

/// Whether these first bytes of a file are those of a tar archive. The oldest have no magic; that
/// the bytes add up to what their text says happens by no accident.
pub(crate) fn begins(head: &[u8]) -> bool {
    let block = head.first_chunk::<{ BLOCK as usize }>();
    block.is_some_and(|block| block[0] != 0 && check_sum(block, 0).is_ok())
}

/// The name in the header itself.
pub(super) fn name(block: &Block) -> String {
    let name = text(&block[..100]);
    // GNU has other fields where ustar has the prefix.
    let prefix =
        if block[257..].starts_with(b"ustar\0") { text(&block[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{}", name.trim_start_matches("./")) }
}

/// Bytes up to the first NUL, as text.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Whole blocks of `size` bytes.
pub(super) fn padded(size: u64, at: u64) -> Result<u64> {
    let whole =
        size.checked_next_multiple_of(BLOCK).filter(|whole| at.checked_add(*whole).is_some());
    Ok(whole.ok_or(Damage::Number { at, field: "size" })?)
}

/// A header's number; none where it is no number, negative, or of more than 64 bits.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let (high, low) = rest.split_at(rest.len().checked_sub(8)?);
        let fits = *first == 0x80 && high.iter().all(|byte| *byte == 0);
        return fits.then(|| u64::from_be_bytes(low.try_into().unwrap_or_default()));
    }
    let text = field.trim_ascii_start();
    let end = text.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(text.len());
    let digits = &text[..end];
    digits.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// # Errors
/// `Damaged` when the bytes of the header at `at` do not add up to what it says.
pub(super) fn check_sum(block: &Block, at: u64) -> Result<()> {
    let field = 148..156;
    let sum = |value: fn(u8) -> i32| -> i32 {
        let bytes = block.iter().enumerate();
        bytes.map(|(index, byte)| if field.contains(&index) { 32 } else { value(*byte) }).sum()
    };
    let stated = number(&block[field.clone()]);
    let is = |sum: i32| stated.is_some_and(|stated| u64::try_from(sum) == Ok(stated));
    // Some old programs added signed bytes.
    let unsigned = sum(i32::from);
    if is(unsigned) || is(sum(|byte| i32::from(byte.cast_signed()))) {
        return Ok(());
    }
    let found = text(&block[field]);
    Err(Damage::Checksum { at, found, sum: unsigned.unsigned_abs() }.into())
}
