//! Makes the n-th operation go wrong: of bytes, of an output, of a disk, of a stream.
//!
//! One [`Fault`] may be shared by several of them; then it counts the operations of all.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use diskferry_block_stream::{
    Bytes, Cancel, Cursor, Disk, Error, Extent, Identity, Piece, Result, Run, Stream, Version,
};
use diskferry_engine::{Job, Output, Storage, WriteOrder};

/// Counts operations, and makes one of them go wrong. Clones share the count.
#[derive(Clone)]
pub struct Fault(Arc<Inner>);

struct Inner {
    trigger: Trigger,
    /// The operation that goes wrong; the first is 0.
    nth: u64,
    count: AtomicU64,
    fired: Mutex<Option<&'static str>>,
}

enum Trigger {
    Nothing,
    Error(io::ErrorKind),
    Cancel(Cancel),
}

impl Fault {
    /// Nothing goes wrong; operations are counted.
    pub fn none() -> Self {
        Self::new(Trigger::Nothing, u64::MAX)
    }

    /// The `nth` operation, counted from 0, fails with an error that [`is_injected`] knows.
    pub fn error(nth: u64, kind: io::ErrorKind) -> Self {
        Self::new(Trigger::Error(kind), nth)
    }

    /// Somebody cancels just before the `nth` operation, counted from 0.
    pub fn cancel(nth: u64, cancel: &Cancel) -> Self {
        Self::new(Trigger::Cancel(cancel.clone()), nth)
    }

    fn new(trigger: Trigger, nth: u64) -> Self {
        let (count, fired) = (AtomicU64::new(0), Mutex::new(None));
        Self(Arc::new(Inner { trigger, nth, count, fired }))
    }

    /// One more operation.
    ///
    /// # Errors
    /// The injected one, when it is this operation's turn.
    pub fn step(&self, doing: &'static str) -> Result<()> {
        let nth = self.0.count.fetch_add(1, Ordering::Relaxed);
        if nth != self.0.nth {
            return Ok(());
        }
        *self.0.fired.lock().unwrap_or_else(PoisonError::into_inner) = Some(doing);
        match &self.0.trigger {
            Trigger::Nothing => Ok(()),
            Trigger::Error(kind) => {
                Err(Error::from(io::Error::new(*kind, Injected(nth))).doing(doing))
            }
            Trigger::Cancel(cancel) => {
                cancel.cancel();
                Ok(())
            }
        }
    }

    /// Operations so far.
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// What was being done when it went wrong; `None` while it has not.
    pub fn fired(&self) -> Option<&'static str> {
        *self.0.fired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an error is, or comes from, one that a [`Fault`] made.
pub fn is_injected(error: &Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if inner.is_some_and(|inner| inner.is::<Injected>()) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The cause of an injected error.
#[derive(Debug)]
struct Injected(u64);

impl std::fmt::Display for Injected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "injected fault of operation {}", self.0)
    }
}

impl std::error::Error for Injected {}

/// Bytes of which a read goes wrong. They are never in memory, so that every look is a read.
pub struct FaultyBytes {
    inner: Arc<dyn Bytes>,
    fault: Fault,
}

impl FaultyBytes {
    /// `inner` with a fault.
    pub fn new(inner: Arc<dyn Bytes>, fault: &Fault) -> Self {
        Self { inner, fault: fault.clone() }
    }
}

impl Bytes for FaultyBytes {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.fault.step("reading bytes")?;
        self.inner.read_at(at, buf)
    }

    fn run(&self, at: u64, limit: u64) -> Result<Run> {
        self.fault.step("asking for a run")?;
        self.inner.run(at, limit)
    }

    fn allocated(&self) -> Option<u64> {
        self.inner.allocated()
    }

    fn file(&self) -> Option<&File> {
        self.inner.file()
    }

    fn identity(&self) -> Identity {
        self.inner.identity()
    }

    fn version(&self) -> Option<Version> {
        self.inner.version()
    }

    fn batch(&self) -> u64 {
        self.inner.batch()
    }

    fn will_need(&self, at: u64, len: u64) {
        self.inner.will_need(at, len);
    }
}

/// Bytes that end early.
pub struct CutBytes {
    inner: Arc<dyn Bytes>,
    end: u64,
    said: u64,
}

impl CutBytes {
    /// The first `end` bytes of `inner`: a download that broke off.
    pub fn truncated(inner: Arc<dyn Bytes>, end: u64) -> Self {
        Self { inner, end, said: end }
    }

    /// All of `inner`, but by the time it is read only `end` bytes are left.
    pub fn shrunk(inner: Arc<dyn Bytes>, end: u64) -> Self {
        let said = inner.len();
        Self { inner, end, said }
    }
}

impl Bytes for CutBytes {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.said
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<()> {
        if at.checked_add(buf.len() as u64).is_none_or(|end| end > self.end) {
            return Err(Error::from(io::Error::from(io::ErrorKind::UnexpectedEof))
                .at("reading", at, buf.len() as u64)
                .in_file(self.name()));
        }
        self.inner.read_at(at, buf)
    }
}

/// An output of which an operation goes wrong.
pub struct FaultyOutput<'a> {
    inner: &'a dyn Output,
    fault: Fault,
}

impl<'a> FaultyOutput<'a> {
    /// `inner` with a fault.
    pub fn new(inner: &'a dyn Output, fault: &Fault) -> Self {
        Self { inner, fault: fault.clone() }
    }
}

impl Output for FaultyOutput<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn order(&self) -> WriteOrder {
        self.inner.order()
    }

    fn starts_zero(&self) -> bool {
        self.inner.starts_zero()
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.fault.step("writing")?;
        self.inner.write_at(at, bytes)
    }

    fn zero(&self, at: u64, len: u64) -> Result<()> {
        self.fault.step("zeroing")?;
        self.inner.zero(at, len)
    }

    fn finish(&self, len: u64, job: &Job) -> Result<()> {
        self.fault.step("finishing")?;
        self.inner.finish(len, job)
    }

    fn storage(&self) -> Option<&dyn Storage> {
        self.inner.storage().map(|_| self as &dyn Storage)
    }
}

impl FaultyOutput<'_> {
    fn inner_storage(&self) -> &dyn Storage {
        self.inner.storage().expect("nobody asks this of an output without storage")
    }
}

impl Storage for FaultyOutput<'_> {
    fn copy_from(&self, source: &dyn Bytes, from: u64, at: u64, len: u64) -> Result<u64> {
        self.fault.step("copying")?;
        self.inner_storage().copy_from(source, from, at, len)
    }

    fn shares(&self, _source: &dyn Bytes) -> bool {
        false
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.fault.step("allocating")?;
        self.inner_storage().allocate(len)
    }

    fn fill(&self, len: u64, job: &Job) -> Result<()> {
        self.fault.step("filling")?;
        self.inner_storage().fill(len, job)
    }
}

/// A disk of which an operation goes wrong.
pub struct FaultyDisk<'a> {
    inner: &'a dyn Disk,
    fault: Fault,
}

impl<'a> FaultyDisk<'a> {
    /// `inner` with a fault.
    pub fn new(inner: &'a dyn Disk, fault: &Fault) -> Self {
        Self { inner, fault: fault.clone() }
    }
}

impl Disk for FaultyDisk<'_> {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn grain(&self) -> u64 {
        self.inner.grain()
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        self.inner.files()
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        self.fault.step("making a cursor")?;
        Ok(Box::new(FaultyCursor { inner: self.inner.cursor()?, fault: self.fault.clone() }))
    }
}

struct FaultyCursor<'a> {
    inner: Box<dyn Cursor + 'a>,
    fault: Fault,
}

impl Cursor for FaultyCursor<'_> {
    fn extent(&mut self, at: u64, limit: u64) -> Result<Extent> {
        self.fault.step("asking for an extent")?;
        self.inner.extent(at, limit)
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<()> {
        self.fault.step("reading a disk")?;
        self.inner.read(at, buf)
    }
}

/// A stream of which a piece goes wrong.
pub struct FaultyStream<S> {
    inner: S,
    fault: Fault,
}

impl<S: Stream> FaultyStream<S> {
    /// `inner` with a fault.
    pub fn new(inner: S, fault: &Fault) -> Self {
        Self { inner, fault: fault.clone() }
    }
}

impl<S: Stream> Stream for FaultyStream<S> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<Piece> {
        self.fault.step("reading a stream")?;
        self.inner.next(buf)
    }
}
