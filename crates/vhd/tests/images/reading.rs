//! What is read from every kind of image there is.

use std::ffi::OsString;
use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Detail, Disk, ErrorKind, Image, Kind, Limits, ParentRef, Result, Run,
};
use diskferry_engine::Chain;
use diskferry_testkit::format::{problems, warnings};
use diskferry_testkit::{Model, Random, laws};
use diskferry_vhd::{FixedDisk, Vhd};

use crate::fixture::{DIFFERENCING, FIXED, Fixture, TABLE, open, put, seal_footer};

/// All extents: offset, length, kind.
fn extents(disk: &dyn Disk) -> Vec<(u64, u64, Kind)> {
    let mut cursor = disk.cursor().unwrap();
    let mut extents = Vec::new();
    let mut at = 0;
    while at < disk.size() {
        let extent = cursor.extent(at, disk.size() - at).unwrap();
        extents.push((at, extent.length, extent.kind));
        at += extent.length;
    }
    extents
}

fn read(disk: &dyn Disk) -> Vec<u8> {
    let mut bytes = vec![0xa5; disk.size() as usize];
    disk.cursor().unwrap().read(0, &mut bytes).unwrap();
    bytes
}

/// The bytes' first of each sector, as text.
fn sectors(bytes: &[u8]) -> String {
    assert!(bytes.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
    bytes.chunks(512).map(|sector| if sector[0] == 0 { '.' } else { sector[0] as char }).collect()
}

fn detail(image: &Vhd, name: &str) -> Detail {
    let details = image.describe().details;
    details.into_iter().find(|(key, _)| *key == name).unwrap_or_else(|| panic!("no {name}")).1
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

#[test]
fn a_fixed_disk_ends_before_its_footer() {
    let disk: Vec<u8> = (0..2048).map(|byte| byte as u8).collect();
    let fixture = Fixture { disk_type: FIXED, size: 2048, ..Fixture::default() };
    let image = open(fixture.fixed(&disk)).unwrap();
    assert!(read(&image) == disk);
    assert_eq!(extents(&image), [(0, 2048, Kind::Plain { file: 0, offset: 0 })]);
    assert_eq!(image.describe().subformat, "fixed");
    assert_eq!(image.describe().warnings, []);
    assert_eq!(image.id().unwrap(), "74686520-6469-736b-2069-7473656c6621");
}

#[test]
fn a_fixed_disk_that_begins_like_a_vhd_is_the_fixed_disk_that_it_ends_as() {
    let inner = Fixture::default().with_block(0, b'x').build();
    let size = inner.len() as u64;
    let outer = Fixture { disk_type: FIXED, size, uuid: [1; 16], ..Fixture::default() };
    let image = open(outer.fixed(&inner)).unwrap();
    assert!(read(&image) == inner);
}

#[test]
fn what_is_behind_a_fixed_disk_is_left_out_and_told() {
    let fixture = Fixture { disk_type: FIXED, size: 2048, ..Fixture::default() };
    let image = open(fixture.fixed(&[7; 4096])).unwrap();
    assert!(read(&image) == [7; 2048]);
    let warnings = warnings(&image);
    assert!(warnings[0].contains("the 2048 bytes between are left out"), "{warnings:?}");
}

#[test]
fn a_fixed_disk_may_be_larger_than_any_that_is_written() {
    /// Zeros, and a footer.
    struct Huge(u64, Vec<u8>);
    impl Bytes for Huge {
        fn name(&self) -> &str {
            "huge"
        }
        fn len(&self) -> u64 {
            self.0 + 512
        }
        fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
            buf.fill(0);
            if let Some(past) = (at + buf.len() as u64).checked_sub(self.0) {
                let start = buf.len() - past as usize;
                buf[start..].copy_from_slice(&self.1[..past as usize]);
            }
            Ok(())
        }
    }
    // As Azure exports them.
    let size = 32 << 40;
    let fixture = Fixture { disk_type: FIXED, size, creator: *b"wa\0\0", ..Fixture::default() };
    let image = Vhd::open(Arc::new(Huge(size, fixture.footer())), &Budget::default()).unwrap();
    assert_eq!(extents(&image), [(0, size, Kind::Plain { file: 0, offset: 0 })]);
}

#[test]
fn a_footer_of_511_bytes_is_a_footer() {
    let fixture = Fixture { disk_type: FIXED, size: 1024, ..Fixture::default() };
    let mut bytes = fixture.fixed(&[7; 1024]);
    bytes.pop();
    assert!(Vhd::probe(&bytes[..512], &bytes[bytes.len() - 512..]));
    let image = open(bytes).unwrap();
    assert!(read(&image) == [7; 1024]);
    assert_eq!(detail(&image, "footer_length"), Detail::Number(511));

    let mut bytes = Fixture::default().with_block(1, b'x').build();
    bytes.pop();
    let image = open(bytes).unwrap();
    assert_eq!(sectors(&read(&image)), "........xxxxxxxx........");
    assert_eq!(image.describe().warnings, []);
}

#[test]
fn blocks_are_found_wherever_they_are() {
    for block in [512, 1024, 4096, 64 << 10, 2 << 20, 16 << 20] {
        let size = 3 * u64::from(block) - 512;
        let fixture = Fixture { block, size, entries: Some(9), ..Fixture::default() };
        let image = open(fixture.with_block(2, b'c').with_block(0, b'a').build()).unwrap();
        let block = block as usize;
        let mut expected = vec![0; 3 * block];
        expected[..block].fill(b'a');
        expected[2 * block..].fill(b'c');
        expected.truncate(size as usize);
        assert!(read(&image) == expected, "{block}");
        assert_eq!(image.grain(), block as u64);
    }
}

#[test]
fn blocks_that_are_not_stored_are_one_run_of_zeros() {
    let fixture = Fixture { size: 1 << 40, block: 2 << 20, ..Fixture::default() };
    let image = open(fixture.with_block(9, b'x').build()).unwrap();
    let found = extents(&image);
    assert_eq!(found.len(), 3);
    assert_eq!((found[0].1, found[0].2), (18 << 20, Kind::Zero));
    assert_eq!((found[2].1, found[2].2), ((1 << 40) - (20 << 20), Kind::Zero));
    assert_eq!(detail(&image, "blocks_used"), Detail::Number(1));
    assert_eq!(detail(&image, "blocks_total"), Detail::Number(1 << 19));
}

#[test]
fn holes_of_the_file_are_zeros() {
    struct Holes(Vec<u8>);
    impl Bytes for Holes {
        fn name(&self) -> &str {
            "holes"
        }
        fn len(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
            self.0.read_at(at, buf)
        }
        fn run(&self, at: u64, limit: u64) -> Result<Run> {
            let left = 512 - at % 512;
            let sector = &self.0[at as usize..][..left as usize];
            let hole = sector.iter().all(|byte| *byte == 0);
            Ok(Run { length: left.min(limit), hole })
        }
    }
    let mut data = vec![0; 4096];
    data[512..1024].fill(b'x');
    let blocks = vec![(1, vec![0xff], data)];
    let bytes = Fixture { blocks, ..Fixture::default() }.build();
    let image = Vhd::open(Arc::new(Holes(bytes)), &Budget::default()).unwrap();
    let kinds: Vec<bool> = extents(&image).iter().map(|(_, _, kind)| kind.reads_zero()).collect();
    assert_eq!(kinds, [true, true, false, true, true, true, true, true, true, true]);
}

#[test]
fn bits_decide_between_a_differencing_disk_and_its_parent() {
    let parent = Fixture::default().with_block(0, b'p').with_block(1, b'q').build();
    let blocks =
        vec![(0, vec![0b1001_0001], vec![b'c'; 4096]), (2, vec![0b0000_0001], vec![b'd'; 4096])];
    let fixture = Fixture { disk_type: DIFFERENCING, blocks, ..Fixture::default() };
    let child = open(fixture.build()).unwrap();
    assert_eq!(child.grain(), 512);
    assert_eq!(sectors(&read(&child)), "c..c...c...............d");
    let absent: Vec<_> = extents(&child)
        .into_iter()
        .map(|(at, length, kind)| (at / 512, length / 512, kind == Kind::Absent))
        .collect();
    assert_eq!(
        absent,
        [
            (0, 1, false),
            (1, 2, true),
            (3, 1, false),
            (4, 3, true),
            (7, 1, false),
            // What two blocks lack, as far as the table alone tells; then what the bits do.
            (8, 8, true),
            (16, 7, true),
            (23, 1, false),
        ]
    );
    let chain = Chain::new(Arc::new(child), Arc::new(open(parent).unwrap()));
    assert_eq!(sectors(&read(&chain)), "cppcpppcqqqqqqqq.......d");
}

#[test]
fn a_chain_with_any_bits_passes_the_laws_of_reading() {
    let model = Model::random(21, 3000 * 512, 512);
    let mut below = model.whole();
    let mut random = Random::new(22);
    let mut blocks = Vec::new();
    for (index, parent) in below.chunks_mut(8192).enumerate() {
        if random.below(4) == 0 {
            continue;
        }
        let mut data = parent.to_vec();
        let mut bitmap = vec![0; 2];
        let mut left = 0;
        let mut set = false;
        for sector in 0..data.len() / 512 {
            if left == 0 {
                (left, set) = (1 + random.below(9), random.below(2) == 0);
            }
            left -= 1;
            bitmap[sector / 8] |= u8::from(set) << (7 - sector % 8);
            // What must not be read is something else.
            let other = if set { &mut *parent } else { &mut data };
            other[sector * 512..][..512].iter_mut().for_each(|byte| *byte = !*byte);
        }
        data.resize(8192, 0);
        blocks.push((index as u32, bitmap, data));
    }
    let size = model.size();
    let parent = Fixture { disk_type: FIXED, size, ..Fixture::default() }.fixed(&below);
    let child =
        Fixture { disk_type: DIFFERENCING, size, block: 8192, blocks, ..Fixture::default() };
    let (parent, child) = (open(parent).unwrap(), open(child.build()).unwrap());
    laws::reading(&Chain::new(Arc::new(child), Arc::new(parent)), &model);
}

#[test]
fn a_reader_may_ask_for_parts_of_sectors() {
    let blocks = vec![(0, vec![0b0101_0000], vec![b'c'; 4096])];
    let fixture = Fixture { disk_type: DIFFERENCING, blocks, ..Fixture::default() };
    let child = open(fixture.build()).unwrap();
    let mut cursor = child.cursor().unwrap();
    for (at, limit, length, absent) in [
        (0, 100, 100, true),
        (500, 100, 12, true),
        (600, 1000, 424, false),
        (1023, 1, 1, false),
        (2100, 1 << 13, 1 << 13, true),
    ] {
        let extent = cursor.extent(at, limit).unwrap();
        assert_eq!((extent.length, extent.kind == Kind::Absent), (length, absent), "{at}");
    }
    let mut found = [1; 4];
    cursor.read(510, &mut found).unwrap();
    assert_eq!(&found, b"\0\0cc");
}

#[test]
fn a_parent_is_named_by_what_the_image_knows() {
    let fixture = Fixture {
        disk_type: DIFFERENCING,
        parent_uuid: *b"the parent disk!",
        parent_name: utf16(r"C:\vm\header.vhd", u16::to_be_bytes),
        locators: vec![
            (*b"W2ku", utf16(r"C:\vm\absolute.vhd", u16::to_le_bytes)),
            (*b"Mac ", vec![1, 2, 3]),
            (*b"W2ru", utf16(r"..\vm\relative.vhd", u16::to_le_bytes)),
            (*b"MacX", b"file:///vm/mac%20x.vhd".to_vec()),
        ],
        ..Fixture::default()
    };
    let image = open(fixture.build()).unwrap();
    let names = ["relative.vhd", "header.vhd", "absolute.vhd", "mac x.vhd"];
    let id = "74686520-7061-7265-6e74-206469736b21";
    assert_eq!(
        image.parent(),
        Some(&ParentRef {
            names: names.map(OsString::from).to_vec(),
            format: Some("vhd".into()),
            id: Some(id.into()),
        })
    );
    let Detail::List(locators) = detail(&image, "parent_locators") else { panic!("no list") };
    assert_eq!(locators[0], r"W2ru: ..\vm\relative.vhd");
    assert!(image.describe().ids.contains(&("parent_uuid", id.into())));
    assert_eq!(image.describe().warnings, []);
}

#[test]
fn an_image_without_ids_has_none() {
    let zeros = [0; 16];
    let fixture = Fixture { disk_type: DIFFERENCING, uuid: zeros, ..Fixture::default() };
    let image = open(fixture.build()).unwrap();
    assert_eq!(image.id(), None);
    assert_eq!(image.parent(), Some(&ParentRef::default()));
}

#[test]
fn a_name_of_the_parent_that_is_not_there_is_odd_only() {
    let fixture = Fixture {
        disk_type: DIFFERENCING,
        locators: vec![(*b"W2ku", utf16("a.vhd", u16::to_le_bytes)), (*b"W2ru", vec![b'x'; 10])],
        ..Fixture::default()
    };
    for (field, value) in [(8, 0x0100_0000_u64 << 32), (16, 1 << 40), (16, u64::MAX)] {
        let mut bytes = fixture.build();
        put(&mut bytes, 512 + 576 + 24 + field, &value.to_be_bytes());
        crate::fixture::seal_header(&mut bytes);
        let image = open(bytes).unwrap();
        assert_eq!(image.parent().unwrap().names, ["a.vhd"]);
        assert_eq!(image.describe().warnings.len(), 1, "{value:#x}");
    }
}

#[test]
fn a_copy_of_the_footer_stands_in_for_the_other() {
    let good = Fixture::default().with_block(1, b'x').build();
    let end = good.len() - 512;
    let broken = |at: usize| {
        let mut bytes = good.clone();
        bytes[at + 200] = 1;
        bytes
    };
    let mut other = good.clone();
    other[end + 84] = 1;
    seal_footer(&mut other, end);
    let mut lost = good.clone();
    lost[..512].fill(0);
    let padded = [&good[..], &[0; 3584]].concat();
    for (bytes, word) in [
        (good[..end].to_vec(), "no footer at the end"),
        (good[..end + 300].to_vec(), "no footer at the end"),
        (padded, "no footer at the end"),
        (lost, "no footer at the start"),
        (broken(0), "footer at the start of the file has checksum"),
        (broken(end), "footer at the end of the file has checksum"),
        (other, "differs from byte 0x43 on"),
    ] {
        let image = open(bytes).unwrap();
        assert_eq!(sectors(&read(&image)), "........xxxxxxxx........");
        let warnings = warnings(&image);
        assert!(warnings.iter().any(|warning| warning.contains(word)), "{word}: {warnings:?}");
        let told = problems(&image);
        assert!(told.iter().any(|problem| problem.text.contains(word)), "{word}: {told:?}");
    }
}

#[test]
fn the_copy_at_the_end_is_believed_where_both_are_good() {
    let mut bytes = Fixture::default().build();
    put(&mut bytes, 48, &4096_u64.to_be_bytes());
    seal_footer(&mut bytes, 0);
    assert_eq!(open(bytes).unwrap().size(), 3 * 4096);
}

#[test]
fn what_is_odd_about_a_footer_is_a_warning() {
    for (field, bytes, word) in [
        (12, &[0, 1, 0, 1][..], "version"),
        (84, &[1], "suspended"),
        (48, &[0, 0, 0, 0, 0, 0, 8, 1], "whole number of sectors"),
        (28, b"vpc ", "geometry"),
    ] {
        let fixture = Fixture { geometry: (1, 1, 1), ..Fixture::default() };
        let mut image = fixture.build();
        let end = image.len() - 512;
        for at in [0, end] {
            put(&mut image, at + field, bytes);
            seal_footer(&mut image, at);
        }
        let warnings = warnings(&open(image).unwrap());
        assert_eq!(warnings.len(), 1, "{word}");
        assert!(warnings[0].contains(word), "{warnings:?}");
    }
}

#[test]
fn a_geometry_of_no_sectors_is_no_size() {
    let fixture = Fixture { creator: *b"vpc ", ..Fixture::default() };
    assert_eq!(open(fixture.build()).unwrap().size(), 3 * 4096);
}

#[test]
fn an_image_tells_who_made_it_and_when() {
    for (creator, name) in [
        (b"win ", "Windows 5.3"),
        (b"vpc ", "Virtual PC 5.3"),
        (b"qem2", "QEMU 5.3"),
        (b"tap\0", "XenServer 5.3"),
        (b"abc ", "abc 5.3"),
        (b"\x01\xff\0\0", r"\x01\xff 5.3"),
    ] {
        let fixture = Fixture { creator: *creator, ..Fixture::default() };
        let image = open(fixture.build()).unwrap();
        assert_eq!(image.describe().creator.as_deref(), Some(name));
    }
    let image = open(Fixture::default().build()).unwrap();
    for (name, value) in [
        ("creator_application", Detail::Text("win".into())),
        ("creator_version", Detail::Text("5.3".into())),
        ("creator_host_os", Detail::Text("Wi2k".into())),
        ("geometry", Detail::Text("0/4/17".into())),
        ("current_size", Detail::Number(3 * 4096)),
        ("original_size", Detail::Number(3 * 4096)),
        ("block_size", Detail::Number(4096)),
        ("timestamp", Detail::Number(946_685_800)),
    ] {
        assert_eq!(detail(&image, name), value, "{name}");
    }
}

#[test]
fn only_what_says_so_is_a_vhd() {
    let dynamic = Fixture::default().build();
    let fixed = Fixture { disk_type: FIXED, ..Fixture::default() }.fixed(&[0; 3 * 4096]);
    let (_, footer) = fixed.split_at(fixed.len() - 512);
    let mut broken = footer.to_vec();
    broken[100] = 1;
    for (head, tail, is_vhd) in [
        (&dynamic[..1024], &[0; 512][..], true),
        (b"conectix", b"", true),
        (&[0; 1024], footer, true),
        (&[0; 1024], &fixed[fixed.len() - 4096..], true),
        (&[0; 1024], &footer[..511], true),
        (&[0; 1024], &footer[..510], true),
        (&[0; 1024], &footer[..16], true),
        (&[0; 1024], &footer[..15], false),
        (&[0; 1024], &broken, true),
        (&[0; 1024], &[0; 512], false),
        (b"conecti", b"conectix", false),
        (b"", b"", false),
    ] {
        assert_eq!(Vhd::probe(head, tail), is_vhd, "{} {}", head.len(), tail.len());
    }
    // A footer that is lost is damage: without it, this would be a raw disk with a footer in it.
    for bytes in [&fixed[..fixed.len() - 2], &[&fixed[..3 * 4096], &broken].concat()] {
        assert!(Vhd::probe(&bytes[..1024], &bytes[bytes.len() - 512..]));
        let error = open(bytes.to_vec()).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    }
}

/// Whoever fills a file up with zeros leaves the footer where the disk ends; elsewhere it is a guest's.
#[test]
fn zeros_behind_the_footer_of_a_fixed_disk_are_none_of_it() {
    let disk: Vec<u8> = (0..2048).map(|byte| byte as u8).collect();
    let fixture = Fixture { disk_type: FIXED, size: 2048, ..Fixture::default() };
    let fixed = fixture.fixed(&disk);
    let padded = |zeros| [&fixed[..], &vec![0; zeros]].concat();
    let shifted = |by| [&vec![7; by][..], &fixed, &[0; 512]].concat();
    let mut broken = padded(512);
    broken[2048 + 100] ^= 1;
    for (what, bytes, is_one) in [
        ("a sector of zeros", padded(512), true),
        ("less than a sector", padded(1), true),
        ("as many as may be", padded((2 << 20) - 512), true),
        ("one too many", padded((2 << 20) - 511), false),
        ("another place than its size", shifted(512), false),
        ("no whole sector in front", shifted(100), false),
        ("a broken footer", broken, false),
        ("something behind", [&padded(512)[..], b"x"].concat(), false),
    ] {
        let tail = &bytes[bytes.len().saturating_sub(FixedDisk::TAIL)..];
        let end = bytes.len() as u64;
        assert_eq!(FixedDisk::is_padded(tail, end), is_one, "{what}");
        let in_order = FixedDisk::of_stream(tail, end).unwrap();
        assert_eq!(in_order.is_some(), is_one, "{what}");
        let Ok(image) = open(bytes) else {
            assert!(!is_one, "{what}");
            continue;
        };
        assert!(is_one && read(&image) == disk, "{what}");
        for warning in [&warnings(&image)[0], &in_order.unwrap().warnings[0]] {
            assert!(warning.contains("bytes of zeros after the footer"), "{what}: {warning}");
        }
    }
}

#[test]
fn tables_are_spent_from_the_limits_and_only_as_far_as_the_disk_needs_them() {
    let budget = Limits::default().with_metadata(1000).budget();
    let needs = |size: u64| {
        let fixture = Fixture { size, entries: Some(10_000), ..Fixture::default() };
        Vhd::open(Arc::new(fixture.build()), &budget).map(|_| ()).map_err(|error| error.kind())
    };
    assert_eq!(needs(200 * 4096), Ok(()));
    assert_eq!(needs(9000 * 4096), Err(ErrorKind::Limit));
    let budget = Limits::default().with_virtual_size(4096).budget();
    let error = Vhd::open(Arc::new(Fixture::default().build()), &budget).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn what_xenserver_keeps_behind_the_table_is_no_concern() {
    let mut gap = b"tdbatmap".to_vec();
    gap.resize(1024, 0xff);
    let fixture = Fixture { creator: *b"tap\0", gap, ..Fixture::default() };
    let image = open(fixture.with_block(0, b'x').build()).unwrap();
    assert_eq!(sectors(&read(&image)), "xxxxxxxx................");
    assert_eq!(problems(&image), []);
    assert_eq!(TABLE, 1536);
}
