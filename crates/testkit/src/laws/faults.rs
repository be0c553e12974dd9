//! The laws of what goes wrong.

use std::io;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Disk, Error, ErrorKind, Plan, Result};
use diskferry_codec::digest::Algorithm;
use diskferry_engine::{Copied, CopyOptions, Job, Source, copy, digest};

use crate::fault::{
    CutBytes, Fault, FaultyBytes, FaultyDisk, FaultyOutput, FaultyStream, is_injected,
};
use crate::{Model, Recorder, StreamSize};

/// Whichever operation goes wrong, that very error comes out, on any number of threads; a request
/// to stop comes out as such; and nothing panics or hangs. After an error a cursor still tells the
/// truth or an error.
///
/// `make_plan` and `open` are as for [`writing`](super::writing). Use a small model: each operation
/// costs a conversion.
///
/// # Panics
/// When any of this is not so.
pub fn faults(
    make_plan: impl Fn() -> Plan,
    open: impl Fn(Arc<dyn Bytes>) -> Result<Arc<dyn Disk>>,
    model: &Model,
) {
    let law = Law { make_plan: &make_plan, open: &open, model };
    let mut recorder = Recorder::new();
    for (source, to_pipe) in
        [(From::Disk, false), (From::Stream, false), (From::Disk, true), (From::Stream, true)]
    {
        if to_pipe && !law.streamable() {
            continue;
        }
        recorder = if to_pipe { Recorder::forward_only() } else { Recorder::new() };
        let (counted, none) = law.write(&Fault::none(), &job(1), source, &recorder);
        counted.unwrap_or_else(|error| panic!("{model}: without a fault: {error}"));
        for nth in spread(none.count()) {
            for threads in [1, 3] {
                law.write_fails(nth, threads, source, to_pipe);
                law.write_is_cancelled(nth, threads, source, to_pipe);
            }
        }
    }
    let file = recorder.recorded();
    law.reading_fails(&(file as Arc<dyn Bytes>));
}

/// A file that breaks off anywhere is damaged, or had lost nothing of the disk; a file that shrinks
/// while it is read gives an error, or the disk. It is never another disk.
///
/// For formats that can tell; a raw disk cannot.
///
/// # Panics
/// When a file that is cut short reads as another disk, or fails in another way.
pub fn truncation(
    file: &Arc<dyn Bytes>,
    open: impl Fn(Arc<dyn Bytes>) -> Result<Arc<dyn Disk>>,
    model: &Model,
) {
    let mut cuts: Vec<u64> = spread(file.len()).collect();
    cuts.extend((0..600).chain(file.len().saturating_sub(600)..file.len()).step_by(37));
    cuts.retain(|cut| *cut < file.len());
    for cut in cuts {
        let what = format!("{model}: its file cut to {cut:#x} of {:#x} bytes", file.len());
        crate::within(super::LIMIT, &what, || {
            let truncated = Arc::new(CutBytes::truncated(Arc::clone(file), cut));
            if let Err(error) = open(truncated).and_then(|disk| read_all(disk.as_ref(), model)) {
                assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
            }
            let shrunk = Arc::new(CutBytes::shrunk(Arc::clone(file), cut));
            if let Err(error) = open(shrunk).and_then(|disk| read_all(disk.as_ref(), model)) {
                let kind = error.kind();
                let fits = matches!(kind, ErrorKind::Damaged | ErrorKind::Io);
                assert!(fits, "{what} after its length was taken: {error}");
            }
        });
    }
}

#[derive(Clone, Copy, Debug)]
enum From {
    Disk,
    Stream,
}

struct Law<'a> {
    make_plan: &'a dyn Fn() -> Plan,
    open: &'a dyn Fn(Arc<dyn Bytes>) -> Result<Arc<dyn Disk>>,
    model: &'a Model,
}

impl Law<'_> {
    fn streamable(&self) -> bool {
        (self.make_plan)().owes().is_empty()
    }

    fn write(
        &self,
        fault: &Fault,
        job: &Job,
        source: From,
        recorder: &Recorder,
    ) -> (Result<Copied>, Fault) {
        let output = FaultyOutput::new(recorder, fault);
        let disk = FaultyDisk::new(self.model, fault);
        let source = match source {
            From::Disk => Source::Disk(&disk),
            From::Stream => {
                let stream = self.model.stream(3, StreamSize::Unknown);
                Source::Stream(Box::new(FaultyStream::new(stream, fault)))
            }
        };
        // A digest makes the engine keep to the disk's order everywhere.
        let options = CopyOptions { digests: vec![Algorithm::Crc32], ..CopyOptions::default() };
        (copy(source, (self.make_plan)(), &output, &options, job), fault.clone())
    }

    fn attempt(
        &self,
        fault: &Fault,
        job: &Job,
        source: From,
        to_pipe: bool,
        what: &str,
    ) -> Result<Copied> {
        let recorder = if to_pipe { Recorder::forward_only() } else { Recorder::new() };
        let result =
            crate::within(super::LIMIT, what, || self.write(fault, job, source, &recorder).0);
        // A recorder's other problem is that a job that failed never finished.
        let problems = recorder.problems();
        let complaints = problems.iter().filter(|problem| *problem != "never finished");
        assert_eq!(complaints.count(), 0, "{what}: {problems:?}");
        result
    }

    fn write_fails(&self, nth: u64, threads: usize, source: From, to_pipe: bool) {
        let fault = Fault::error(nth, io::ErrorKind::StorageFull);
        let what = format!(
            "{}: fault of operation {nth}, {threads} threads, from a {source:?}, pipe: {to_pipe}",
            self.model
        );
        let result = self.attempt(&fault, &job(threads), source, to_pipe, &what);
        self.judge(&what, &fault, result.map(|_| ()));
    }

    /// The error that was injected comes out, as an I/O error; without one, none.
    fn judge(&self, what: &str, fault: &Fault, result: Result<()>) {
        match (fault.fired(), result) {
            (Some(doing), Err(error)) => {
                assert!(is_injected(&error), "{what} while {doing}: another error: {error}");
                assert_eq!(error.kind(), ErrorKind::Io, "{what} while {doing}: {error}");
            }
            (Some(doing), Ok(())) => panic!("{what} while {doing}: nobody noticed"),
            (None, Err(error)) => panic!("{what}, which never came: {error}"),
            (None, Ok(())) => {}
        }
    }

    fn write_is_cancelled(&self, nth: u64, threads: usize, source: From, to_pipe: bool) {
        let job = job(threads);
        let fault = Fault::cancel(nth, &job.control.cancel);
        let what = format!(
            "{}: cancelled at operation {nth}, {threads} threads, from a {source:?}, pipe: {to_pipe}",
            self.model
        );
        let result = self.attempt(&fault, &job, source, to_pipe, &what);
        match (fault.fired(), result) {
            (_, Err(error)) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{what}: {error}"),
            // It never came, or came too late.
            (None | Some("finishing"), Ok(_)) => {}
            (Some(doing), Ok(_)) => panic!("{what} while {doing}: nobody noticed"),
        }
    }

    fn reading_fails(&self, file: &Arc<dyn Bytes>) {
        let none = Fault::none();
        let model = self.model;
        let counted = self.open(file, &none).and_then(|disk| read_all(disk.as_ref(), model));
        counted.unwrap_or_else(|error| panic!("{model}: reading without a fault: {error}"));
        for nth in spread(none.count()) {
            let what = format!("{model}: fault of operation {nth} of reading");
            let fault = Fault::error(nth, io::ErrorKind::Other);
            let result = crate::within(super::LIMIT, &what, || {
                self.open(file, &fault).and_then(|disk| read_all(disk.as_ref(), model))
            });
            self.judge(&what, &fault, result);
            let fault = Fault::error(nth, io::ErrorKind::Other);
            let what = format!("{what} a digest");
            let result = crate::within(super::LIMIT, &what, || {
                let disk = self.open(file, &fault)?;
                let source = Source::Disk(disk.as_ref());
                digest(source, &[Algorithm::Crc32], &job(3)).map(|_| ())
            });
            self.judge(&what, &fault, result);
        }
    }

    fn open(&self, file: &Arc<dyn Bytes>, fault: &Fault) -> Result<Arc<dyn Disk>> {
        (self.open)(Arc::new(FaultyBytes::new(Arc::clone(file), fault)))
    }
}

fn job(threads: usize) -> Job {
    Job::new(threads).expect("a thread pool")
}

/// At most about forty numbers below `count`, the first and the last dozen among them.
fn spread(count: u64) -> impl Iterator<Item = u64> {
    let step = (count / 16).max(1) as usize;
    let mut numbers: Vec<u64> = (0..count).step_by(step).collect();
    numbers.extend((0..count).take(12));
    numbers.extend(count.saturating_sub(12)..count);
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter()
}

/// Asks for every extent and reads every byte of data. After an error it tries the rest with the
/// same cursor, and panics at a byte that is not the model's; then it returns the first error.
fn read_all(disk: &dyn Disk, model: &Model) -> Result<()> {
    assert_eq!(disk.size(), model.size(), "{model}: the size");
    let mut cursor = disk.cursor()?;
    let mut first: Option<Error> = None;
    let (mut at, size) = (0, disk.size());
    let mut buf = vec![0; SLICE as usize];
    let mut errors = 0;
    while at < size && errors < ERRORS {
        let (length, read) = match cursor.extent(at, size - at) {
            Ok(extent) if extent.kind.reads_zero() => {
                let place = model.first_non_zero(at, extent.length);
                assert_eq!(place, None, "{model}: {extent:?} at {at:#x} hides a byte");
                (extent.length, Ok(()))
            }
            Ok(extent) => {
                let length = extent.length.min(SLICE);
                let part = &mut buf[..length as usize];
                let read = cursor.read(at, part);
                if read.is_ok() {
                    let expected = model.bytes(at, part.len());
                    assert!(expected == part, "{model}: {length} bytes at {at:#x} are others");
                }
                (length, read)
            }
            Err(error) => ((size - at).min(SLICE), Err(error)),
        };
        if let Err(error) = read {
            errors += 1;
            first.get_or_insert(error);
            // Once more: what failed for a moment must not be taken for what was read.
            let part = &mut buf[..length.min(4096) as usize];
            if cursor.read(at, part).is_ok() {
                let expected = model.bytes(at, part.len());
                assert!(expected == part, "{model}: at {at:#x}, after an error, are other bytes");
            }
        }
        at += length;
    }
    first.map_or(Ok(()), Err)
}

/// Bytes read at a time.
const SLICE: u64 = 300_000;

/// Errors after which the rest is not tried any more.
const ERRORS: u32 = 20;
