//! Holds layouts to what they say of the places that they come back to.

use std::ops::Range;

use diskferry_block_stream::{Chunk, Enclosed, Error, Layout, Packed, Plan, Result, Sink};

/// The same plan, which fails as soon as its layout writes further back than it said it would.
pub(super) fn watched(plan: Plan) -> Plan {
    let watched = |packed: Packed| {
        let owes_nothing = packed.layout.owes().is_empty();
        let layout = Box::new(Watched { layout: packed.layout, owes_nothing, passed: 0 });
        Packed { layout, ..packed }
    };
    match plan {
        Plan::Packed(packed) => Plan::Packed(watched(packed)),
        Plan::Enclosed(enclosed) => {
            Plan::Enclosed(Enclosed { inner: watched(enclosed.inner), ..enclosed })
        }
        plan @ (Plan::Flat(_) | Plan::Split(_)) => plan,
    }
}

struct Watched {
    layout: Box<dyn Layout>,
    /// It said so at first.
    owes_nothing: bool,
    /// The end of all that has a place so far.
    passed: u64,
}

impl Watched {
    /// What the layout owes as the next call begins.
    fn debts(&self) -> Result<Debts> {
        let owed = self.layout.owes();
        if self.owes_nothing && !owed.is_empty() {
            return Err(Error::misuse(format!("owes {owed:x?}, and owed nothing at first")));
        }
        Ok(Debts { owed, passed: self.passed })
    }

    fn pass(&mut self, end: u64) {
        self.passed = self.passed.max(end);
    }
}

/// What a layout owed when a call began.
struct Debts {
    owed: Vec<Range<u64>>,
    passed: u64,
}

impl Debts {
    fn check(&self, at: u64, len: u64) -> Result<()> {
        let (mut next, end) = (at, self.passed.min(at.saturating_add(len)));
        while next < end {
            let owed = self.owed.iter().find(|owed| owed.contains(&next)).ok_or_else(|| {
                Error::misuse(format!(
                    "{len} bytes at {at:#x}: goes back from {:#x}, and owes {:x?} only",
                    self.passed, self.owed
                ))
            })?;
            next = owed.end;
        }
        Ok(())
    }
}

impl Layout for Watched {
    fn owes(&self) -> Vec<Range<u64>> {
        self.layout.owes()
    }

    fn zeros(&mut self, chunks: u64, sink: &mut dyn Sink) -> Result<()> {
        let mut sink = Watching { debts: self.debts()?, sink, end: 0 };
        let done = self.layout.zeros(chunks, &mut sink);
        let end = sink.end;
        self.pass(end);
        done
    }

    fn chunk(&mut self, chunk: Chunk, sink: &mut dyn Sink) -> Result<u64> {
        let length = chunk.length as u64;
        let mut sink = Watching { debts: self.debts()?, sink, end: 0 };
        let at = self.layout.chunk(chunk, &mut sink)?;
        sink.debts.check(at, length)?;
        let end = sink.end;
        self.pass(end.max(at + length));
        Ok(at)
    }

    fn finish(&mut self, size: u64, sink: &mut dyn Sink) -> Result<u64> {
        let mut sink = Watching { debts: self.debts()?, sink, end: 0 };
        self.layout.finish(size, &mut sink)
    }
}

struct Watching<'a> {
    debts: Debts,
    sink: &'a mut dyn Sink,
    /// Of what it was given.
    end: u64,
}

impl Watching<'_> {
    fn admit(&mut self, at: u64, len: u64) -> Result<()> {
        self.debts.check(at, len)?;
        self.end = self.end.max(at + len);
        Ok(())
    }
}

impl Sink for Watching<'_> {
    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.admit(at, bytes.len() as u64)?;
        self.sink.put(at, bytes)
    }

    fn zeros(&mut self, at: u64, len: u64) -> Result<()> {
        self.admit(at, len)?;
        self.sink.zeros(at, len)
    }
}
