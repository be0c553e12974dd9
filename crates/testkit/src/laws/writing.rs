//! The laws of writing.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Disk, ErrorKind, Plan, Result};
use diskferry_engine::{CopyOptions, Job, Source, Zeros, copy};

use super::owed::watched;
use super::reading;
use super::reading::content;
use crate::{Copying, Model, Recorded, Recorder, StreamSize};

/// What is written is the model when it is read back, and the same bytes however it is written:
/// with 1, 2 and 7 threads, in hardly any memory, from a stream of known or unknown size, to
/// something that cannot go back. Nothing is written twice; a layout goes back only to what it owes,
/// and a pipe is refused where that is anything; on a used device everything that matters is
/// overwritten.
///
/// `make_plan` makes a plan for a disk of the model's size, each time the same.
///
/// # Panics
/// When any of this is not so.
pub fn writing(
    make_plan: impl Fn() -> Plan,
    open: impl Fn(Arc<dyn Bytes>) -> Result<Arc<dyn Disk>>,
    model: &Model,
) {
    crate::within(super::LIMIT, &format!("writing a {model}"), || {
        let law = Law { make_plan: &make_plan, open: &open, model };
        for zeros in [Zeros::Scan, Zeros::Trust] {
            let first = law.write(&Recorder::new(), &Way { zeros, ..Way::default() });
            match zeros {
                Zeros::Scan => law.read_back("written", &first, reading),
                Zeros::Trust => law.read_back("written with zeros", &first, content),
            }
            law.threads(zeros, &first);
            law.forward_only(zeros, &first);
            law.used_device(zeros);
            if zeros == Zeros::Scan {
                law.streams(&first);
            }
        }
        law.kernel_copies();
    });
}

/// How a copy is made.
#[derive(Clone, Debug)]
struct Way {
    threads: usize,
    memory: u64,
    zeros: Zeros,
    source: From,
}

impl Default for Way {
    fn default() -> Self {
        Self { threads: 1, memory: Job::MEMORY, zeros: Zeros::Scan, source: From::Disk }
    }
}

#[derive(Clone, Copy, Debug)]
enum From {
    Disk,
    Stream(StreamSize),
}

struct Law<'a> {
    make_plan: &'a dyn Fn() -> Plan,
    open: &'a dyn Fn(Arc<dyn Bytes>) -> Result<Arc<dyn Disk>>,
    model: &'a Model,
}

impl Law<'_> {
    fn plan(&self) -> Plan {
        let plan = (self.make_plan)();
        if let Plan::Split(_) = plan {
            panic!("{}: the laws hold for each part of a split plan", self.model);
        }
        watched(plan)
    }

    /// Whether a pipe takes it.
    fn streamable(&self) -> bool {
        self.plan().owes().is_empty()
    }

    fn write(&self, recorder: &Recorder, way: &Way) -> Arc<Recorded> {
        self.write_from(self.model, recorder, way)
    }

    fn write_from(&self, model: &Model, recorder: &Recorder, way: &Way) -> Arc<Recorded> {
        let what = format!("{model}, {way:?}, forward only {}", recorder.is_forward_only());
        let mut job = Job::new(way.threads).expect("a thread pool");
        job.memory = way.memory;
        let source = match way.source {
            From::Disk => Source::Disk(model),
            From::Stream(size) => Source::Stream(Box::new(model.stream(5, size))),
        };
        let options = CopyOptions { zeros: way.zeros, ..CopyOptions::default() };
        let copied = copy(source, self.plan(), recorder, &options, &job);
        let problems = recorder.problems();
        let copied = copied.unwrap_or_else(|error| panic!("{what}: {error}; {problems:?}"));
        assert!(problems.is_empty(), "{what}: {problems:?}");
        assert_eq!(copied.size, model.size(), "{what}: the size in the summary");
        assert_eq!(copied.copied + copied.zeros, copied.size, "{what}: the summary: {copied:?}");
        let file = recorder.recorded();
        assert_eq!(copied.target_size, file.len(), "{what}: the target's size in the summary");
        assert_eq!(job.control.progress.passed(), model.size(), "{what}: the progress");
        file
    }

    fn same(&self, first: &Recorded, recorder: &Recorder, way: &Way) {
        let file = self.write(recorder, way);
        if let Some(at) = first.first_difference(&file) {
            panic!(
                "{}: {way:?}, forward only {}: other bytes than with one thread from {at:#x} on \
                 (files of {:#x} and {:#x} bytes)",
                self.model,
                recorder.is_forward_only(),
                first.len(),
                file.len()
            );
        }
    }

    fn read_back(&self, how: &str, file: &Arc<Recorded>, look: fn(&dyn Disk, &Model)) {
        let bytes: Arc<dyn Bytes> = Arc::clone(file) as _;
        let disk = (self.open)(bytes)
            .unwrap_or_else(|error| panic!("{}: opening what was {how}: {error}", self.model));
        look(disk.as_ref(), self.model);
    }

    fn threads(&self, zeros: Zeros, first: &Recorded) {
        for (threads, memory) in [(2, Job::MEMORY), (7, Job::MEMORY), (7, 1), (3, 5 << 20)] {
            let way = Way { threads, memory, zeros, source: From::Disk };
            self.same(first, &Recorder::new(), &way);
        }
    }

    fn forward_only(&self, zeros: Zeros, first: &Recorded) {
        if self.streamable() {
            for threads in [1, 7] {
                let way = Way { threads, zeros, ..Way::default() };
                self.same(first, &Recorder::forward_only(), &way);
            }
            return;
        }
        let recorder = Recorder::forward_only();
        let job = Job::new(2).expect("a thread pool");
        let options = CopyOptions { zeros, ..CopyOptions::default() };
        let refused = copy(Source::Disk(self.model), self.plan(), &recorder, &options, &job);
        let kind = refused.map_err(|error| error.kind()).err();
        assert_eq!(kind, Some(ErrorKind::Unsupported), "{}: to a pipe", self.model);
        assert_eq!(recorder.log(), [], "{}: to a pipe that is refused", self.model);
    }

    fn streams(&self, first: &Recorded) {
        for (threads, memory, size) in [
            (1, Job::MEMORY, StreamSize::Known),
            (7, Job::MEMORY, StreamSize::Unknown),
            (2, 1, StreamSize::Unknown),
        ] {
            let way = Way { threads, memory, source: From::Stream(size), zeros: Zeros::Scan };
            self.same(first, &Recorder::new(), &way);
            if self.streamable() {
                self.same(first, &Recorder::forward_only(), &way);
            }
        }
    }

    fn used_device(&self, zeros: Zeros) {
        for threads in [1, 7] {
            let recorder = Recorder::garbage(self.model.seed());
            let way = Way { threads, zeros, ..Way::default() };
            let file = self.write(&recorder, &way);
            if matches!((self.make_plan)(), Plan::Flat(_)) {
                let untouched = recorder.untouched();
                assert_eq!(untouched, [], "{}: left as it was on a used device", self.model);
            }
            self.read_back("written over garbage", &file, content);
        }
    }

    /// The model as a plain disk, whose extents a kernel may copy.
    fn kernel_copies(&self) {
        let stored: u64 =
            self.model.parts().iter().filter(|p| p.texture.is_stored()).map(|p| p.length).sum();
        if stored > 64 << 20 {
            return;
        }
        let plain = self.model.plain();
        let way = |threads| Way { threads, zeros: Zeros::Trust, ..Way::default() };
        let first = self.write_from(&plain, &Recorder::new(), &way(1));
        self.read_back("written from plain extents", &first, content);
        for copying in [Copying::Whole, Copying::Half] {
            for threads in [1, 7] {
                let recorder = Recorder::new().copying(copying);
                let file = self.write_from(&plain, &recorder, &way(threads));
                if let Some(at) = first.first_difference(&file) {
                    panic!(
                        "{plain}: copied by the kernel ({copying:?}), other bytes from {at:#x} on"
                    );
                }
            }
        }
    }
}
