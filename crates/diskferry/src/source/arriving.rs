//! Opens what comes in order, out of a pipe or a compressed file: as a stream where the disk in it can be read
//! so, and else through a scratch file, which can be read anywhere.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diskferry_block_stream::{Budget, Bytes, Error, Result};
use diskferry_engine::Control;

use super::OpenOptions;
use super::found::{Origin, Source};
use super::input::Input;
use crate::place::file::FileId;
use crate::source::stream::{Counted, StreamInput};
use crate::source::unwrap::{
    self, Around, Arrival, InOrderOnly, Packed, Scratch, Unordered, Wanted,
};

/// Bytes that can be read anywhere, and what is around them.
pub(super) type Inside = (Arc<dyn Bytes>, Around);

impl OpenOptions {
    /// Opens what comes out of a pipe.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(super) fn open_pipe(
        &self,
        name: &str,
        pipe: File,
        id: FileId,
        budget: &Budget,
        control: &Control,
    ) -> Result<Input> {
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted::new(pipe, &read);
        match unwrap::arrive(name, counted, Around::default(), &Wanted::of(self, budget))? {
            Arrival::Disk(arrived) => Ok(Input::Stream(StreamInput::new(arrived, read, None, id))),
            Arrival::NotInOrder(Unordered { error, around, all }) => {
                let Some(all) = all else { return Err(error) };
                let count = || read.load(Ordering::Relaxed);
                let (bytes, around) = self.unpack(name, error, around, all, &count, control)?;
                let (name, origin) = (name.to_owned(), Origin::Nowhere);
                let source = Source { name, origin, bytes, id, locked: None };
                let opened = self.open_around(source, around, Vec::new(), budget, control)?;
                Ok(opened.out_of_pipe(count()))
            }
        }
    }

    /// Opens the compressed file `bytes`, which is `file` without what is `around` it. Goes on with bytes that
    /// can be read anywhere, which may be wrapped again, and what is around those.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(super) fn open_packed(
        &self,
        file: &Source,
        bytes: Arc<dyn Bytes>,
        around: Around,
        budget: &Budget,
        control: &Control,
    ) -> Result<ControlFlow<Input, Inside>> {
        let packed = Packed {
            bytes,
            file: Arc::clone(&file.bytes),
            around,
            wanted: Wanted::of(self, budget),
        };
        let read = Arc::new(AtomicU64::new(0));
        match packed.begin(&read)? {
            Arrival::Disk(arrived) => {
                let stream = StreamInput::new(arrived, read, Some(packed), file.id);
                Ok(ControlFlow::Break(Input::Stream(stream)))
            }
            Arrival::NotInOrder(Unordered { error, around, all }) => {
                if let Some(found) = InOrderOnly::of(&error) {
                    // It is told once.
                    let _ = found.file.set(Arc::clone(&packed.file));
                }
                let name = packed.bytes.name();
                let all = match all {
                    Some(all) => all,
                    None => {
                        read.store(0, Ordering::Relaxed);
                        packed.unpacked(&read)?
                    }
                };
                control.progress.expect(packed.bytes.len());
                let count = || read.load(Ordering::Relaxed);
                self.unpack(name, error, around, all, &count, control).map(ControlFlow::Continue)
            }
        }
    }

    /// Unpacks to a scratch file what cannot be read in order because of `error`.
    fn unpack(
        &self,
        name: &str,
        error: Error,
        mut around: Around,
        all: Box<dyn Read + Send>,
        count: &dyn Fn() -> u64,
        control: &Control,
    ) -> Result<Inside> {
        let Some(folder) = &self.scratch else { return Err(error) };
        let Control { cancel, progress, .. } = control;
        let scratch = Scratch { folder, limits: &self.limits, cancel, progress };
        let file = scratch.fill(all, count).map_err(|error| error.in_file(name))?;
        let bytes = self.access.bytes(name, file)?;
        around.scratch.push(Arc::clone(&bytes));
        Ok((bytes, around))
    }
}
