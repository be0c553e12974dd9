//! Zeros, where they have to be written.

use diskferry_block_stream::Result;

/// Zeros to write where nothing shorter does.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Writes `len` zeros through `write`.
pub(crate) fn write_zeros(
    mut at: u64,
    mut len: u64,
    mut write: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    while len > 0 {
        let step = len.min(ZEROS.len() as u64);
        write(at, &ZEROS[..step as usize])?;
        at += step;
        len -= step;
    }
    Ok(())
}
