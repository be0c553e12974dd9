//! A target of several files that is being written: its parts are kept with it, or not at all.

use std::sync::Arc;

use diskferry_block_stream::{Bytes, Result};
use diskferry_engine::{
    Entry, FileBytes, FileOutput, Kept, Output, Outputs, ReadBack, Target, Undo,
};

/// A target of several files that is being written.
pub(super) struct SplitTarget {
    /// The file that names the others.
    descriptor: FileOutput,
    /// The parts, with the names that the descriptor has for them.
    parts: Vec<(String, FileOutput)>,
}

impl SplitTarget {
    pub fn new(descriptor: FileOutput, parts: Vec<(String, FileOutput)>) -> Self {
        Self { descriptor, parts }
    }
}

impl Target for SplitTarget {
    fn outputs(&self) -> Outputs<'_> {
        let parts = self.parts.iter();
        let parts = parts.map(|(name, output)| (name.as_str(), output as &dyn Output)).collect();
        Outputs::Split { parts, descriptor: &self.descriptor }
    }

    /// Removes its files while they have temporary names.
    fn undo(&self) -> Undo {
        let outputs = self.parts.iter().map(|(_, output)| output).chain([&self.descriptor]);
        let temporary: Vec<Entry> = outputs.filter_map(FileOutput::temporary).cloned().collect();
        Box::new(move || temporary.iter().for_each(|entry| _ = entry.remove()))
    }

    fn read_back(&self) -> Result<Option<ReadBack>> {
        let bytes = |output: &FileOutput| -> Result<Arc<dyn Bytes>> {
            Ok(Arc::new(FileBytes::new(output.name(), output.reopen()?)?))
        };
        let parts = self.parts.iter().map(|(name, output)| Ok((name.clone(), bytes(output)?)));
        let parts = parts.collect::<Result<_>>()?;
        Ok(Some(ReadBack { parts, ..ReadBack::alone(bytes(&self.descriptor)?) }))
    }

    /// Gives the parts their names, then the target.
    ///
    /// Where one of them is refused its name, those that have theirs are removed, also where they
    /// have replaced older files: these cannot be brought back, and what is left of the older disk
    /// must not be taken for whole.
    fn keep(self: Box<Self>) -> Result<()> {
        let mut kept = AllOrNone(Vec::new());
        for (_, output) in self.parts {
            kept.0.push(output.keep()?);
        }
        self.descriptor.keep()?;
        kept.0.clear();
        Ok(())
    }
}

/// Files that are removed unless all of them are kept.
struct AllOrNone(Vec<Kept>);

impl Drop for AllOrNone {
    fn drop(&mut self) {
        for kept in &self.0 {
            // The error that led here is the one to tell.
            let _ = kept.remove();
        }
    }
}
