//! What is written, read by a decoder in another language that shares no code with ours.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use common::{chained, headed, text, zvhd as by_hand};
use diskferry_block_stream::{Disk, Plan, Stamp, Writing as _};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{CopyOptions, Job, Slice, Source, copy, digest};
use diskferry_testkit::child::{Bounded, command};
use diskferry_testkit::{Model, Recorder, Texture};
use diskferry_zvhd::{zvhd, zvhd2};

/// What the decoder says of a file, or its complaint.
fn decode(bytes: &[u8]) -> Result<String, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decode.py");
    let output = command("python3").arg(script).arg(file.path()).run();
    let output = output.expect("these tests need python3, and the command zstd");
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn plan(way: &str, level: u32, size: u64) -> Plan {
    let stamp = Stamp { uuid: [9; 16], seconds: 1_700_000_000 };
    if way == "zvhd" {
        let mut options = zvhd::Options::default();
        options.compress(Some(level)).unwrap();
        return zvhd::plan(Some(size), &options, &stamp).unwrap();
    }
    let mut options = zvhd2::Options::default();
    options.set("compression_type", way).unwrap();
    options.compress(Some(level)).unwrap();
    zvhd2::plan(Some(size), &options, &stamp).unwrap()
}

fn write(plan: Plan, model: &Model) -> Vec<u8> {
    let recorder = Recorder::new();
    let job = Job::new(2).unwrap();
    copy(Source::Disk(model), plan, &recorder, &CopyOptions::default(), &job).unwrap();
    recorder.recorded().to_vec()
}

/// What the decoder should say.
fn expected(model: Model) -> (String, String) {
    let size = model.size();
    let original = size.next_multiple_of(512);
    let job = Job::new(1).unwrap();
    let disk = diskferry_engine::Pad::new(Arc::new(model), original).unwrap();
    let disk = Slice::new(Arc::new(disk), 0, original).unwrap();
    let (_, digests) = digest(Source::Disk(&disk), &[Algorithm::Sha256], &job).unwrap();
    let current = size.next_multiple_of(1 << 30);
    (format!("{original} {current}"), digests[0].1.clone())
}

#[test]
fn another_decoder_reads_what_is_written() {
    let models = || {
        let mut models = Model::gallery(2 << 20);
        models.retain(|model| model.size() < 1 << 30);
        models.push(Model::full(4, (7 << 20) + 99, 4096, Texture::Noise));
        models.push(Model::full(5, 9 << 20, 4096, Texture::Text));
        models
    };
    for (way, level) in [("zvhd", 1), ("zvhd", 6), ("zvhd", 9), ("zstd", 3), ("zlib", 1)] {
        for model in models() {
            let what = format!("{way} {level}: {model}");
            let bytes = write(plan(way, level, model.size()), &model);
            let said = decode(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
            let (sizes, sha256) = expected(model);
            assert!(said.starts_with(&sizes) && said.ends_with(&sha256), "{what}: {said}");
        }
    }
}

#[test]
fn the_decoder_sees_what_it_should() {
    let model = Model::full(5, 5 << 20, 4096, Texture::Text);
    for (way, needle) in [("zvhd", "zlib"), ("zstd", "zst")] {
        let good = write(plan(way, 3, model.size()), &model);
        assert!(decode(&good).is_ok());
        let mut cases = vec![
            ("a byte more", [&good[..], &[0]].concat(), ""),
            ("a page's bytes", good.clone(), "page"),
            ("a unit's reserved bytes", good.clone(), "reserved"),
            ("a unit's data", good.clone(), needle),
        ];
        cases[1].1[600] = 1;
        cases[2].1[4096 + 30] = 1;
        cases[3].1[4096 + 60..4096 + 2000].fill(0xee);
        for (name, bytes, text) in cases {
            let error = decode(&bytes).expect_err(name);
            assert!(error.contains(text), "{way}: {name}: {error}");
        }
    }
}

/// The other way round: a stream whose blocks refer to one another is what the decoder reads, too.
#[test]
fn one_stream_with_history_is_what_the_decoder_takes_for_zvhd() {
    let blocks = [text(1), text(2)];
    let mut payloads = chained(6, &[&blocks[0], &blocks[1]]);
    payloads[0] = headed(&payloads[0]);
    let units: Vec<(u32, Vec<u8>)> = (0..).zip(payloads).collect();
    let mut file = by_hand(4 << 20, 1 << 30, &units);
    // The geometry of 4 MiB.
    let last = file.len() - common::PAGE;
    for page in [0, last] {
        common::put(&mut file, page + 0x38, &(120_u32 << 16 | 4 << 8 | 17).to_le_bytes());
        common::seal(&mut file[page..page + common::PAGE]);
    }
    let said = decode(&file).unwrap();
    assert!(said.starts_with("4194304 1073741824 2 "), "{said}");
}
