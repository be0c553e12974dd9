//! A window is memory as far as the stream fills it, whatever a header says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;

use diskferry_codec::{UnpackError, Unpacked, Wrapper};

const MIB: u64 = 1 << 20;

/// A zstd frame with a window of 2 to that power, and blocks of 128 KiB of the same byte, which take four bytes
/// each (RFC 8878, 3.1.1).
fn zstd(log: u8, blocks: u32) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    for block in 1..=blocks {
        let header = (128 << 10) << 3 | 0b010 | u32::from(block == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(b'a');
    }
    frame
}

/// An xz stream whose block says to have the largest dictionary that there is, of 4 GiB.
fn xz() -> Vec<u8> {
    let mut packed = liblzma::encode_all(&[b'a'; 1000][..], 0).unwrap();
    packed[16] = 40;
    let sum = crc32fast::hash(&packed[12..20]);
    packed[20..24].copy_from_slice(&sum.to_le_bytes());
    packed
}

/// Unpacks all, with whatever windows that takes; answers with the largest, and how much came out.
fn unpack(packed: &[u8]) -> (u64, u64) {
    let mut unpacked = Unpacked::new(Wrapper::of(packed).unwrap(), packed);
    let (mut widest, mut length) = (0, 0);
    let mut buf = vec![0; 64 << 10];
    loop {
        match unpacked.unpack(&mut buf) {
            Ok(0) => return (widest, length),
            Ok(count) => length += count as u64,
            Err(UnpackError::Window { window, .. }) => {
                widest = window;
                unpacked.allow(window);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The most memory that this process had so far.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() << 10
}

#[test]
fn a_window_takes_the_memory_that_the_stream_fills() {
    let grown = |packed: &[u8]| {
        let before = peak();
        let (window, length) = unpack(packed);
        (window / MIB, length, (peak() - before) / MIB)
    };
    let (window, length, memory) = grown(&zstd(31, 1));
    assert_eq!((window, length), (2048, 128 << 10));
    assert!(memory < 16, "{memory} MiB");
    let (window, length, memory) = grown(&xz());
    assert_eq!((window, length), (4096, 1000));
    assert!(memory < 16, "{memory} MiB");
    // It is memory that is measured.
    let (window, length, memory) = grown(&zstd(30, 800));
    assert_eq!((window, length), (1024, 100 * MIB));
    assert!((90..116).contains(&memory), "{memory} MiB");
}
