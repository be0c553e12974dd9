//! What fuzzing kept, replayed: inputs that reach every corner, and inputs that once found a bug.

use std::sync::Arc;
use std::time::Duration;

use diskferry_block_stream::{Budget, Disk, ErrorKind};
use diskferry_qcow2::Qcow2;
use diskferry_testkit::fuzz::kept;
use diskferry_testkit::{format, within};

#[path = "../../../fuzz/src/qcow2.rs"]
mod bodies;

#[test]
fn any_bytes_are_an_image_or_refused() {
    kept("qcow2_read", bodies::read);
}

#[test]
fn an_image_with_any_tables_is_an_image_or_refused() {
    kept("qcow2_tables", bodies::tables);
}

#[test]
fn any_disk_reads_back_as_it_was_written() {
    kept("qcow2_roundtrip", bodies::roundtrip);
}

/// Half a megabyte that asks for 2^35 looks at an L2 entry: every entry of an L1 table leads to one
/// L2 table, and a thousand snapshots have that L1 table.
#[test]
fn a_check_looks_at_each_table_once() {
    let (snapshots, entries) = (1000_u32, 65536_u32);
    let mut image = vec![0; 0x9_0000];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb\0\0\0\x02");
    // Clusters of 4 KiB, each L2 table for 2 MiB.
    put(20, &12_u32.to_be_bytes());
    put(24, &(u64::from(entries) << 21).to_be_bytes());
    put(36, &entries.to_be_bytes());
    put(40, &0x1_0000_u64.to_be_bytes());
    put(48, &0xC000_u64.to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(60, &snapshots.to_be_bytes());
    put(64, &0x2000_u64.to_be_bytes());
    for n in 0..snapshots as usize {
        put(0x2000 + 40 * n, &0x1_0000_u64.to_be_bytes());
        put(0x2008 + 40 * n, &entries.to_be_bytes());
    }
    for n in 0..entries as usize {
        put(0x1_0000 + 8 * n, &0x1000_u64.to_be_bytes());
    }
    for n in 0..512 {
        put(0x1000 + 8 * n, &0xD000_u64.to_be_bytes());
    }
    let length = image.len();
    let image = Qcow2::open(Arc::new(image), &Budget::default()).unwrap();
    let mut texts = Vec::new();
    within(Duration::from_secs(60), "checking", || {
        format::check(&image, &mut |problem| texts.push(problem.text))
    })
    .unwrap();
    assert!((1..length).contains(&texts.len()), "{} problems", texts.len());
    // Of the L1 table each cluster but the first is counted once, and not for each snapshot.
    for (cluster, times) in [(0x1_0000, 1001), (0x1_1000, 1), (0x8_f000, 1)] {
        let text = format!("cluster {cluster:#x} has refcount 0, and {times} references");
        assert!(texts.contains(&text), "{text}");
    }
    // Nor does anybody read what would take years.
    let error = image.cursor().unwrap().extent(0, image.size()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
}
