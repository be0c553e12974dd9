//! A job that is told to stop does so soon, whatever it is at, and leaves nothing behind.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use diskferry_block_stream::{Disk, Error, ErrorKind, Flat, Plan, Result};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{
    CopyOptions, FileOutput, Job, PipeOutput, Replace, Source, compare, copy, digest,
};
use diskferry_testkit::toy::{Packing, Toy, plan};
use diskferry_testkit::{Discard, Model, StreamSize, Texture, qemu, within};

/// More than any machine reads in the time of a test.
const SIZE: u64 = 4 << 40;

fn noise() -> Model {
    Model::full(1, SIZE, 65536, Texture::Noise)
}

/// Starts `work`, cancels it, and expects it to end within a second.
fn stops(what: &str, threads: usize, work: impl FnOnce(&Job) -> Result<()> + Send) {
    let job = Job::new(threads).unwrap();
    let (cancel, progress) = (job.control.cancel.clone(), job.control.progress.clone());
    let stop = || {
        std::thread::scope(|scope| {
            let working = scope.spawn(|| {
                let result = work(&job);
                (result, Instant::now())
            });
            // In the midst of it: when something has passed, or nothing ever will.
            let begun = Instant::now();
            while progress.passed() == 0 && begun.elapsed() < Duration::from_millis(300) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let asked = Instant::now();
            cancel.cancel();
            let (result, ended) = working.join().unwrap();
            assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Cancelled), "{what}");
            let took = ended.duration_since(asked);
            assert!(took < Duration::from_secs(1), "{what}, {threads} threads: {took:?}");
        })
    };
    within(Duration::from_secs(60), what, stop);
}

#[test]
fn a_copy_stops() {
    for threads in [1, 2, 7] {
        for (what, make) in [
            ("flat", (|| Plan::Flat(Flat::default())) as fn() -> Plan),
            ("packed", || Plan::Packed(plan(Toy::Stream, 65536, Packing::Deflate))),
            ("stored", || Plan::Packed(plan(Toy::Table, 65536, Packing::None))),
        ] {
            stops(what, threads, |job| {
                let model = noise();
                copy(Source::Disk(&model), make(), &Discard, &CopyOptions::default(), job)
                    .map(|_| ())
            });
            stops(&format!("{what} from a stream"), threads, |job| {
                let model = noise();
                let stream = Source::Stream(Box::new(model.stream(1, StreamSize::Unknown)));
                copy(stream, make(), &Discard, &CopyOptions::default(), job).map(|_| ())
            });
        }
    }
}

#[test]
fn digests_and_comparisons_stop() {
    for threads in [1, 7] {
        stops("digest", threads, |job| {
            digest(Source::Disk(&noise()), &Algorithm::ALL, job).map(|_| ())
        });
        stops("digest of zeros", threads, |job| {
            digest(Source::Disk(&Model::empty(SIZE, 65536)), &Algorithm::ALL, job).map(|_| ())
        });
        stops("comparison", threads, |job| {
            let disk = || -> Arc<dyn Disk> { Arc::new(noise()) };
            compare(&disk(), &disk(), job).map(|_| ())
        });
    }
}

#[test]
fn zeros_into_a_pipe_stop() {
    stops("zeros into a pipe", 2, |job| {
        let pipe = PipeOutput::new("nowhere", std::io::sink());
        let model = Model::empty(1 << 62, 65536);
        let plan = Plan::Flat(Flat::default());
        copy(Source::Disk(&model), plan, &pipe, &CopyOptions::default(), job).map(|_| ())
    });
}

#[test]
fn many_small_extents_stop() {
    // The scout alone is at work: there is nothing to read.
    stops("a walk over extents", 2, |job| {
        let model = Model::empty(1 << 62, 65536).with_longest(65536);
        let plan = Plan::Flat(Flat::default());
        copy(Source::Disk(&model), plan, &Discard, &CopyOptions::default(), job).map(|_| ())
    });
}

#[test]
fn a_file_that_is_stopped_leaves_nothing() {
    let dir = qemu::temp_dir();
    let target = dir.path().join("disk.raw");
    stops("a file", 2, |job| {
        let output = FileOutput::create(&target, Replace::Never)?;
        let plan = Plan::Packed(plan(Toy::Table, 65536, Packing::Deflate));
        let model = Model::full(1, SIZE, 65536, Texture::Text);
        copy(Source::Disk(&model), plan, &output, &CopyOptions::default(), job).map(|_| ())
    });
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn filling_a_file_with_zeros_stops() {
    let dir = qemu::temp_dir();
    let target = dir.path().join("disk.raw");
    stops("filling", 2, |job| {
        let output = FileOutput::create(&target, Replace::Never)?;
        let flat =
            Flat { preallocation: diskferry_block_stream::Preallocation::Full, ..Flat::default() };
        let model = Model::empty(1 << 40, 65536);
        copy(Source::Disk(&model), Plan::Flat(flat), &output, &CopyOptions::default(), job)
            .map(|_| ())
    });
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_is_cancelled_before_it_starts_does_nothing() {
    let model = Model::random(1, 1 << 20, 512);
    for plan in [Plan::Flat(Flat::default()), Plan::Packed(plan(Toy::Stream, 4096, Packing::None))]
    {
        let job = Job::new(2).unwrap();
        job.control.cancel.cancel();
        let error: Error =
            copy(Source::Disk(&model), plan, &Discard, &CopyOptions::default(), &job).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(model.bytes_read(), 0);
    }
}
