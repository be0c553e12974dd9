//! Where a change gives an image other content, and nothing in its format could tell.

use std::path::Path;

use diskferry::Format;

use crate::damage::Damage;
use crate::sample::Sample;

/// Whether the disk's bytes are stored with a checksum of them.
pub fn has_checksum(path: &Path, format: Format) -> bool {
    let _ = format;
    let name = path.file_name().unwrap().to_string_lossy();
    [".gz", ".xz", ".bz2", ".zst", "stream.vmdk"].iter().any(|end| name.ends_with(end))
}

/// Whether the change is one that nothing could tell.
///
/// Each case names what would have to be there, and is not. Whatever has a checksum, a copy, a bound or a count
/// is not here.
pub fn nothing_could_tell(sample: &Sample, format: Format, damage: &Damage) -> bool {
    let (at, length) = match damage {
        Damage::Put(at, bytes) => (*at, bytes.len()),
        // A raw disk is as long as its file, and a descriptor's lines as many as there are.
        Damage::Cut(_) => return format == Format::RAW || is_descriptor(sample),
    };
    let within = |start: usize, end: usize| at < end && at + length > start;
    match format.name() {
        // The archive's own blocks have sums; what is in it is as it would be outside.
        "qcow2" if sample.name == "wrapped.tar" => {
            within(512 + 24, 512 + 32) || zero_flag(sample, damage)
        }
        // The place and length of the parent's name; the size, where the L1 table is large enough for another.
        "qcow2" => within(8, 20) || within(24, 32) || zero_flag(sample, damage),
        // The bitmaps of a differencing disk, which say whose a sector is.
        "vhd" => {
            sample.name.starts_with("differencing")
                && !sample.headers.touches(at as u64, length as u64)
        }
        // Where the data begins, the size, the bytes between blocks; and whose a block is.
        "vdi" => {
            within(0x158, 0x15c)
                || within(0x170, 0x178)
                || within(0x17c, 0x180)
                || at >= 0x200 && is_map(sample, damage)
        }
        // Descriptors; and tables whose copy is lost already.
        "vmdk" => {
            is_descriptor(sample)
                || sample.name.starts_with("redundant-")
                    && !sample.headers.touches(at as u64, length as u64)
        }
        // The number of the block that a unit is, but for the order.
        "zvhd" => (at..at + length).any(|at| (0x10..0x14).contains(&(at % 4096))),
        _ => false,
    }
}

/// Whether the change is to how an entry reads that has no cluster, or keeps the one that it has: it reads as
/// zeros, or is not there, is stored in part, is compressed or not; or to one whose cluster is in a file without
/// refcounts.
fn zero_flag(sample: &Sample, damage: &Damage) -> bool {
    const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
    const COMPRESSED: u64 = 1 << 62;
    let Damage::Put(at, bytes) = damage else { return false };
    let start = at / 8 * 8;
    let mut before = [0; 16];
    let have = (sample.base.len() - start).min(16);
    before[..have].copy_from_slice(&sample.base[start..start + have]);
    let mut after = before;
    after[at - start..at - start + bytes.len()].copy_from_slice(bytes);
    let of = |words: &[u8; 16], index: usize| {
        u64::from_be_bytes(words[index * 8..index * 8 + 8].try_into().unwrap())
    };
    if sample.headers.touches(start as u64, 1) {
        return false;
    }
    sample.name.starts_with("datafile")
        || sample.name.starts_with("extended-l2")
        || [0, 1].into_iter().all(|index| {
            let (old, new) = (of(&before, index), of(&after, index));
            old & 1 != new & 1
                || (old ^ new) & COMPRESSED != 0
                || old == new
                || (old | new) & (OFFSET | COMPRESSED) == 0
        })
}

/// Whether a VDI's map is one that could be after the change: no two entries have a block, none has one that the
/// header does not count, and no fewer are in use than were. Which block is whose, and which of two kinds of nothing
/// an entry has, nothing tells.
fn is_map(sample: &Sample, damage: &Damage) -> bool {
    let Damage::Put(at, bytes) = damage else { return false };
    let mut file = sample.base.to_vec();
    let before = blocks(&file);
    file[*at..at + bytes.len()].copy_from_slice(bytes);
    let (mut after, allocated) = (blocks(&file), number(&file, 0x184));
    let many = after.len();
    after.sort_unstable();
    after.dedup();
    after.len() == many && many >= before.len() && after.iter().all(|block| *block < allocated)
}

/// The blocks that a VDI's map has, entry by entry.
fn blocks(file: &[u8]) -> Vec<u32> {
    const NOTHING: u32 = !1;
    let (map, entries) = (number(file, 0x154) as usize, number(file, 0x180) as usize);
    let entries = (0..entries).map(|entry| number(file, map + entry * 4));
    entries.filter(|block| *block < NOTHING).collect()
}

fn number(file: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(file[at..at + 4].try_into().unwrap())
}

/// A VMDK that is text.
fn is_descriptor(sample: &Sample) -> bool {
    sample.name.ends_with(".vmdk") && sample.base.starts_with(b"#")
}
