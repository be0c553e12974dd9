//! A streamOptimized image from a pipe: the same disk as by position, or damage.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::Arc;

use common::{model_of, put, stamp, to_vec, write};
use diskferry_block_stream::{Budget, Disk, ErrorKind, Piece, Result, Stream};
use diskferry_engine::{CopyOptions, Job, Source, copy};
use diskferry_testkit::{Model, Recorder, Texture};
use diskferry_vmdk::{StreamOptimizedStream, Vmdk, plan};

/// All that a stream has, by a buffer of this length, and the size that it said.
fn stream(file: &[u8], buffer: usize) -> Result<(Vec<u8>, Option<u64>)> {
    let mut stream = StreamOptimizedStream::new(file, "pipe", &Budget::default())?;
    let size = stream.size();
    let (mut all, mut buf) = (Vec::new(), vec![0; buffer]);
    loop {
        match stream.next(&mut buf)? {
            Piece::Data(count) => all.extend_from_slice(&buf[..count]),
            Piece::Zero(count) => all.resize(all.len() + count as usize, 0),
            Piece::End => return Ok((all, size)),
        }
    }
}

fn file_of(model: &Model) -> Vec<u8> {
    to_vec(&write("", model))
}

/// Where the first grain is.
const FIRST: usize = 128 * 512;

#[test]
fn a_stream_is_the_disk() {
    for model in Model::gallery(65536) {
        if model.size() > 64 << 20 {
            continue;
        }
        let file = file_of(&model);
        let mut expected = model.whole();
        expected.resize(model.size().next_multiple_of(65536) as usize, 0);
        for buffer in [1000, 65536, 1 << 20] {
            let (found, size) = stream(&file, buffer).unwrap();
            assert_eq!(size, Some(expected.len() as u64), "{model}");
            assert!(found == expected, "{model}, by {buffer}");
        }
    }
}

#[test]
fn a_stream_can_be_written_as_it_comes() {
    let model = Model::random(5, 9 << 20, 65536);
    let file = file_of(&model);
    let source = StreamOptimizedStream::new(file.as_slice(), "pipe", &Budget::default()).unwrap();
    let recorder = Recorder::forward_only();
    let options = common::options("");
    let plan = plan(Some(model.size()), &options, &stamp(), Some("disk.vmdk")).unwrap();
    assert_eq!(plan.owes(), []);
    let job = Job::new(3).unwrap();
    copy(Source::Stream(Box::new(source)), plan, &recorder, &CopyOptions::default(), &job).unwrap();
    assert!(recorder.recorded().to_vec() == file, "the same disk, the same bytes");
}

#[test]
fn a_stream_that_ends_early_is_damage_wherever_it_does() {
    let model = model_of(3 << 20);
    let file = file_of(&model);
    let cuts = (0..file.len()).step_by(997).chain(file.len() - 2000..file.len());
    for cut in cuts {
        let error = stream(&file[..cut], 65536).err();
        let kind = error.as_ref().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::Damaged), "cut to {cut:#x}: {error:?}");
    }
}

#[test]
fn what_follows_the_end_may_be_padding() {
    let model = model_of(3 << 20);
    let mut file = file_of(&model);
    let whole = stream(&file, 65536).unwrap();
    file.extend([0; 4096]);
    assert!(stream(&file, 65536).unwrap() == whole);
    file.push(0);
    file.extend([7; 511]);
    let error = stream(&file, 65536).unwrap_err().to_string();
    assert!(error.contains("after the end-of-stream marker"), "{error}");
}

#[test]
fn the_footer_may_be_the_first_to_know_the_size() {
    let model = model_of(3 << 20);
    let mut file = file_of(&model);
    put(&mut file, 12, &[0; 8]);
    // No descriptor tells it either.
    put(&mut file, 512, &[0; 20 * 512]);
    let (found, size) = stream(&file, 65536).unwrap();
    assert_eq!(size, None);
    assert!(found == model.whole());
    let image = Vmdk::open(Arc::new(file), &Budget::default()).unwrap();
    assert_eq!(image.size(), model.size());
}

#[test]
fn a_stream_that_contradicts_itself_is_damage() {
    let model = Model::full(3, 1 << 20, 65536, Texture::Noise);
    let good = file_of(&model);
    let second = FIRST + 129 * 512;
    let end = good.len();
    for (what, at, bytes, word) in [
        ("a grain of an earlier place", second, &0u64.to_le_bytes()[..], "earlier grain"),
        ("a grain past the end", second, &2048u64.to_le_bytes(), "past the end of the disk"),
        ("a grain within another", second, &129u64.to_le_bytes(), "within a grain"),
        ("a long grain", FIRST + 8, &u32::MAX.to_le_bytes(), "0xffffffff bytes"),
        ("other bytes", FIRST + 12 + 70, &[0xff; 60], "compressed grain 0x0"),
        ("a footer of another disk", end - 1024 + 12, &77u64.to_le_bytes(), "capacity"),
        ("a footer that is none", end - 1024, b"VMDK", "footer marker"),
        ("a marker of no type", end - 512 + 12, &9u32.to_le_bytes(), "no known type"),
        ("a transfer as text", 73, b"\r\n \r", "transfer as text"),
        ("no magic", 0, b"VMDK", "neither"),
        ("a grain of 3 sectors", 20, &3u64.to_le_bytes(), "power of two"),
    ] {
        let mut file = good.clone();
        put(&mut file, at, bytes);
        let error = stream(&file, 65536).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
        assert!(error.to_string().contains(word), "{what}: {error}");
    }
}

/// The sectors at which the grains' markers are, up to the first that is none.
fn grains(file: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = FIRST;
    loop {
        let size = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap()) as usize;
        if size == 0 {
            return found;
        }
        found.push(at);
        at = (at + 12 + size).next_multiple_of(512);
    }
}

#[test]
fn what_did_not_arrive_is_no_zeros_and_nothing_arrives_elsewhere() {
    let stored = |length| (Texture::Text, length);
    let model =
        Model::of(3, 65536, &[stored(3 << 16), (Texture::Absent, 1 << 20), stored(1 << 17)]);
    let good = file_of(&model);
    let grains = grains(&good);
    assert_eq!(grains.len(), 5);
    assert!(stream(&good, 1000).is_ok());
    let refused = |file: &[u8], what: &str| {
        let error = stream(file, 1 << 20).map(|_| ()).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
    };
    for (index, from) in [(0, FIRST)].into_iter().chain(grains.iter().copied().enumerate()) {
        let mut zeroed = good.clone();
        zeroed[from..].fill(0);
        refused(&zeroed, &format!("zeros from grain {index} on"));
        let cut = [&good[..from], &[0; 512]].concat();
        refused(&cut, &format!("an end in the place of grain {index}"));
    }
    let gone = [&good[..grains[1]], &good[grains[2]..]].concat();
    refused(&gone, "a grain that is gone");
    let mut moved = good.clone();
    put(&mut moved, grains[2], &(10_u64 * 128).to_le_bytes());
    refused(&moved, "a grain that goes elsewhere");
    // The directory's marker becomes one of a table.
    let end = good.len() - 512;
    let footer = end - 512;
    let directory = u64::from_le_bytes(good[footer + 56..footer + 64].try_into().unwrap());
    let mut lost = good.clone();
    put(&mut lost, directory as usize * 512 - 512 + 12, &1_u32.to_le_bytes());
    refused(&lost, "a directory that is none");
}

#[test]
fn other_kinds_need_a_file() {
    let file = to_vec(&write("subformat=monolithicSparse", &model_of(2 << 20)));
    let error = stream(&file, 65536).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

/// OpenStack's rules for what is uploaded, as its inspector has them.
#[test]
fn openstack_would_take_it() {
    for text in ["", "subformat=monolithicSparse"] {
        let file = to_vec(&write(text, &model_of(3 << 20)));
        let number = |at: usize, len: usize| {
            let bytes = file[at..at + len].iter().rev();
            bytes.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        assert!(file.starts_with(b"KDMV") && (1..=3).contains(&number(4, 4)));
        assert_eq!(number(28, 8), 1, "the descriptor is at byte 512");
        let descriptor = &file[512..512 + number(36, 8) as usize * 512];
        let end = descriptor.iter().position(|byte| *byte == 0).unwrap();
        assert!(descriptor[end..].iter().all(|byte| *byte == 0));
        let descriptor = std::str::from_utf8(&descriptor[..end]).unwrap();
        assert!(descriptor.is_ascii());
        let mut extents = 0;
        for line in descriptor.lines().map(str::trim) {
            let word = line.split(' ').next().unwrap();
            if ["RW", "RDONLY", "NOACCESS"].contains(&word) {
                extents += 1;
                assert!(!line.contains('/'));
                continue;
            }
            let field = line.split_once('=').is_some_and(|(key, _)| !key.contains(' '));
            assert!(line.is_empty() || line.starts_with('#') || line.starts_with("ddb") || field);
        }
        assert_eq!(extents, 1);
        if number(56, 8) == u64::MAX {
            let at = file.len() - 1536;
            assert_eq!((number(at + 8, 4), number(at + 12, 4)), (0, 3), "the footer's marker");
            assert_eq!(file[at + 512..at + 520], file[..8], "magic and version");
            assert_eq!(file[at + 540..at + 556], file[28..44], "the descriptor's place");
            assert_ne!(number(at + 568, 8), u64::MAX);
            assert!(file[at + 1024..].iter().all(|byte| *byte == 0), "the end-of-stream marker");
        } else {
            assert_eq!(text, "subformat=monolithicSparse");
        }
    }
}

/// The layout that VMware's own tools write.
#[test]
fn the_layout_is_vmwares() {
    // A grain, a table of nothing, a grain in the next.
    use diskferry_testkit::Texture::{Absent, Text};
    let parts = [(Text, 65536), (Absent, (64 << 20) - 65536), (Text, 65536)];
    let model = Model::of(2, 65536, &parts);
    let file = file_of(&model);
    let number = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let kind = |at: usize| u32::from_le_bytes(file[at + 12..at + 16].try_into().unwrap());
    let entry = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!(file[4..12], [3, 0, 0, 0, 1, 0, 3, 0], "version and flags");
    assert_eq!((number(20), number(48), number(56), number(64)), (128, 0, u64::MAX, 128));
    assert_eq!(file[72..79], *b"\0\n \r\n\x01\0");
    // A zlib stream, as long as its marker says, then a table's marker at the next sector.
    assert_eq!((number(FIRST), file[FIRST + 12]), (0, 0x78));
    let size = entry(FIRST + 8) as usize;
    let table = FIRST + (12 + size).next_multiple_of(512);
    assert_eq!((number(table), kind(table)), (4, 1));
    assert_eq!(entry(table + 512), 128, "the first grain's sector");
    let second = table + 5 * 512;
    assert_eq!(number(second), 131_072, "the first sector past 64 MiB");
    let size = entry(second + 8) as usize;
    let table_2 = second + (12 + size).next_multiple_of(512);
    assert_eq!((number(table_2), kind(table_2)), (4, 1));
    let directory = table_2 + 5 * 512;
    assert_eq!((number(directory), kind(directory)), (1, 2));
    let entries = [0, 4, 8].map(|at| entry(directory + 512 + at) as usize * 512);
    assert_eq!(entries, [table + 512, 0, table_2 + 512]);
    let footer = directory + 1024;
    assert_eq!((number(footer), kind(footer)), (1, 3));
    assert_eq!(number(footer + 512 + 56) as usize * 512, directory + 512);
    assert_eq!(file.len(), footer + 3 * 512, "a footer, and the end-of-stream marker");
}
