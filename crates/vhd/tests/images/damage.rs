//! Images that contradict themselves: each is damage, and says where.

use diskferry_block_stream::{Budget, Disk, ErrorKind, Image};
use diskferry_vhd::Vhd;

use crate::fixture::{DYNAMIC, FIXED, Fixture, HEADER, TABLE, open, put, seal_footer, seal_header};

fn dynamic() -> Vec<u8> {
    Fixture::default().with_block(0, b'a').with_block(2, b'c').build()
}

/// A dynamic disk with other bytes in both copies of its footer.
fn footer(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = dynamic();
    let end = image.len() - 512;
    for copy in [0, end] {
        put(&mut image, copy + at, bytes);
        seal_footer(&mut image, copy);
    }
    image
}

fn header(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = dynamic();
    put(&mut image, HEADER + at, bytes);
    seal_header(&mut image);
    image
}

fn refused(image: Vec<u8>) -> (ErrorKind, String) {
    let error = open(image).err().expect("it is not refused");
    assert_eq!(error.place().file.as_deref(), Some("memory"));
    (error.kind(), error.to_string())
}

#[test]
fn what_contradicts_itself_is_not_opened() {
    let mut no_footer = dynamic();
    let end = no_footer.len() - 512;
    no_footer[0] = 0;
    no_footer[end] = 0;
    let mut bad_sums = dynamic();
    bad_sums[300] = 1;
    bad_sums[end + 300] = 1;
    let mut bad_copy = dynamic();
    bad_copy[300] = 1;
    bad_copy.truncate(end);
    let mut bad_header = dynamic();
    bad_header[HEADER + 300] = 1;
    let mut fixed = Fixture { disk_type: FIXED, ..Fixture::default() }.fixed(&[0; 3 * 4096]);
    fixed[3 * 4096 + 300] = 1;
    let short = Fixture { disk_type: FIXED, ..Fixture::default() }.fixed(&[0; 3 * 4096 - 512]);
    let entries = |count: u32| header(28, &count.to_be_bytes());
    for (image, words) in [
        (Vec::new(), &["no footer", "(0x0)"][..]),
        (vec![0; 100], &["no footer", "(0x64)"]),
        (no_footer, &["no footer"]),
        (bad_sums, &["footer at 0x2c00 has checksum 0x", "its bytes give 0x"]),
        (bad_copy, &["footer at 0x0 has checksum"]),
        (fixed, &["footer at 0x3000 has checksum"]),
        (short, &["disk of 0x3000 bytes", "the 0x2e00 bytes before its footer"]),
        (footer(60, &7_u32.to_be_bytes()), &["disk type 0x7"]),
        (footer(16, &u64::MAX.to_be_bytes()), &["dynamic disk header", "0xffffffffffffffff"]),
        (footer(16, &0x2b00_u64.to_be_bytes()), &["dynamic disk header of 0x400", "(0x2e00)"]),
        (footer(16, &0x400_u64.to_be_bytes()), &["no dynamic disk header at 0x400"]),
        (bad_header, &["header at 0x200 has checksum"]),
        (header(32, &0_u32.to_be_bytes()), &["block size 0x0"]),
        (header(32, &256_u32.to_be_bytes()), &["block size 0x100"]),
        (header(32, &0x3000_u32.to_be_bytes()), &["block size 0x3000"]),
        (entries(2), &["table of 0x2 entries is too small for 0x3000 bytes in blocks of 0x1000"]),
        (footer(48, &(1_u64 << 62).to_be_bytes()), &["too small for 0x4000000000000000"]),
        (header(16, &u64::MAX.to_be_bytes()), &["table of 0xc bytes at 0xffffffffffffffff"]),
        (header(16, &0x2dfc_u64.to_be_bytes()), &["table of 0xc bytes at 0x2dfc", "(0x2e00)"]),
    ] {
        let (kind, text) = refused(image);
        assert_eq!(kind, ErrorKind::Damaged, "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
    }
}

#[test]
fn what_is_valid_and_unknown_is_unsupported() {
    for (image, word) in [
        (footer(60, &0_u32.to_be_bytes()), "disk type 0"),
        (footer(60, &6_u32.to_be_bytes()), "disk type 6"),
        (footer(12, &0x2_0000_u32.to_be_bytes()), "version 2.0"),
        (header(24, &0x2_0001_u32.to_be_bytes()), "header version 2.1"),
    ] {
        let (kind, text) = refused(image);
        assert_eq!(kind, ErrorKind::Unsupported, "{text}");
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn a_block_that_cannot_be_there_is_damage_where_it_is_read() {
    for (entry, words) in [
        (0_u32, "at 0x0, over the copy of the footer at 0x0"),
        (1, "at 0x200, over the dynamic disk header at 0x200"),
        (3, "at 0x600, over the block allocation table at 0x600"),
        (20, "at 0x2800, which runs past the end of the file's blocks (0x2c00)"),
        (22, "at 0x2c00, which runs past"),
        (u32::MAX - 1, "at 0x1fffffffc00, which runs past"),
    ] {
        let mut image = dynamic();
        put(&mut image, TABLE + 4, &entry.to_be_bytes());
        let image = open(image).unwrap();
        let mut cursor = image.cursor().unwrap();
        assert_eq!(cursor.extent(0, 3 * 4096).unwrap().length, 4096, "what precedes it is good");
        let mut buf = [0; 100];
        let failures = [cursor.extent(5000, 50).err(), cursor.read(5000, &mut buf).err()];
        for (error, length) in failures.into_iter().zip([50, 100]) {
            let error = error.expect(words);
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{text}");
            assert!(text.contains("table entry 1 at 0x604 puts a block"), "{text}");
            assert!(text.contains(words), "{text}");
            let place = error.place();
            assert_eq!((place.offset, place.length), (Some(5000), Some(length)), "{text}");
        }
        cursor.read(8192, &mut buf).unwrap();
        assert_eq!(buf, [b'c'; 100], "what follows it is good");
    }
}

#[test]
fn what_of_a_block_is_past_the_disk_may_be_missing() {
    let fixture = Fixture { size: 4096 + 1024, disk_type: DYNAMIC, ..Fixture::default() };
    let image = fixture.with_block(1, b'x').build();
    let end = image.len() - 512;
    let read = |cut: usize| {
        let image = Vhd::open(std::sync::Arc::new(image[..cut].to_vec()), &Budget::default())?;
        let mut found = vec![0; 1024];
        image.cursor()?.read(4096, &mut found).map(|()| found)
    };
    assert_eq!(read(end - 3072).unwrap(), [b'x'; 1024]);
    assert_eq!(read(end - 3073).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn a_damaged_block_does_not_keep_the_image_from_being_described() {
    let mut image = dynamic();
    put(&mut image, TABLE + 4, &u32::MAX.wrapping_sub(5).to_be_bytes());
    let image = open(image).unwrap();
    assert_eq!(image.size(), 3 * 4096);
    assert_eq!(image.describe().subformat, "dynamic");
}
