//! What happens in the order of the disk: digests, and the place of each chunk.

use diskferry_block_stream::{Cancel, Chunk, Form, Layout, Result};

use super::digests::Digests;
use super::done::{Done, Item};
use super::placed::{Placed, Write, splice};
use super::write::{OutputSink, Writer};
use crate::job::Job;
use crate::output::WriteOrder;

/// What happens to results in the disk's order.
pub(super) struct InOrder {
    pub(super) digests: Digests,
    pub(super) places: Places,
}

/// Where results go.
pub(super) enum Places {
    /// Where they are on the disk, behind what the writer says; or nowhere, without one.
    Disk,
    /// Where the layout says.
    Layout { layout: Box<dyn Layout>, chunk: u64 },
}

impl InOrder {
    pub(super) fn place(
        &mut self,
        done: Done,
        writer: Option<&Writer<'_>>,
        job: &Job,
    ) -> Result<Placed> {
        let told = self.digests.feed(&done, job)?;
        let mut placed = match (writer, &mut self.places) {
            (None, _) => Placed { left: done.length, writes: Vec::new(), buffers: done.buffers },
            (Some(writer), Places::Disk) => writer.place(done)?,
            (Some(writer), Places::Layout { layout, chunk }) => {
                place_chunks(done, layout.as_mut(), *chunk, writer, &job.control.cancel)?
            }
        };
        placed.left -= told;
        Ok(placed)
    }
}

/// Asks the layout for each chunk's place; neighbours that stay neighbours become one write.
fn place_chunks(
    done: Done,
    layout: &mut dyn Layout,
    chunk: u64,
    writer: &Writer<'_>,
    cancel: &Cancel,
) -> Result<Placed> {
    let at_once = writer.output.order() == WriteOrder::Forward;
    let mut sink = OutputSink { output: writer.output, cancel };
    let mut writes: Vec<Write> = Vec::with_capacity(done.items.len());
    let mut left = done.length;
    let mut disk_at = done.at;
    let mut push = |write: Write| -> Result<()> {
        // What the layout puts next must come after these bytes.
        if at_once {
            return writer.write(&write, &done.buffers, &[], cancel);
        }
        if !writes.last_mut().is_some_and(|last| last.join(&write)) {
            writes.push(write);
        }
        Ok(())
    };
    for item in &done.items {
        let item_at = disk_at;
        disk_at += item.length();
        match *item {
            Item::Zeros(length) => {
                layout.zeros(length.div_ceil(chunk), &mut sink)?;
                left = left.saturating_sub(length);
            }
            Item::Stored { start, length, zero_parts } => {
                debug_assert_eq!(length as u64, chunk);
                let at = layout.chunk(stored(length, zero_parts), &mut sink)?;
                push(Write::Input { at, range: start..start + length })?;
                writer.count(chunk.min(left));
                left = left.saturating_sub(chunk);
            }
            Item::Packed { ref packed, note, .. } => {
                let range = packed.clone();
                let form = Form::Packed;
                let packed = Chunk { form, length: range.len(), zero_parts: 0, note };
                let at = layout.chunk(packed, &mut sink)?;
                push(Write::Packed { at, range })?;
                writer.count(chunk.min(left));
                left = left.saturating_sub(chunk);
            }
            Item::Splice { length, ref segments } => {
                for step in (0..length).step_by(chunk as usize) {
                    let at = layout.chunk(stored(chunk as usize, 0), &mut sink)?;
                    splice(segments, (item_at + step, chunk), at, &mut push)?;
                    writer.count(chunk.min(left));
                    left = left.saturating_sub(chunk);
                }
            }
        }
    }
    Ok(Placed { left: done.length, writes, buffers: done.buffers })
}

fn stored(length: usize, zero_parts: u64) -> Chunk {
    Chunk { form: Form::Stored, length, zero_parts, note: 0 }
}
