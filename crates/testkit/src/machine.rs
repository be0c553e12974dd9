//! A disk that looks like a machine's.

const MIB: usize = 1 << 20;

/// A disk that every target takes for a machine's: an MBR with boot code, and one partition, marked
/// active, with the superblock of an ext4 that has no unusual features.
#[must_use]
pub fn machine() -> Vec<u8> {
    let mut disk = vec![0; 24 * MIB + 512];
    disk[..4].copy_from_slice(b"\xeb\x63\x90\x10");
    let (start, sectors) = (2048_u32, 20 * 2048_u32);
    let entry = &mut disk[446..462];
    (entry[0], entry[4]) = (0x80, 0x83);
    entry[8..12].copy_from_slice(&start.to_le_bytes());
    entry[12..16].copy_from_slice(&sectors.to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let superblock = &mut disk[MIB + 1024..MIB + 2048];
    let mut put = |at: usize, value: u32| {
        superblock[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    put(0, 5120); // inodes
    put(4, 20 * 256); // blocks of 4 KiB
    put(24, 2);
    put(32, 32768);
    put(56, 0xef53); // magic, and clean
    put(76, 1); // revision
    put(92, 0x4); // has_journal
    put(96, 0x42); // filetype, extents
    disk[2 * MIB..2 * MIB + 12].copy_from_slice(b"some content");
    disk
}
