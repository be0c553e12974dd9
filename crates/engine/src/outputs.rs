//! All that takes the bytes of a target: one file, or several.

use crate::output::Output;

/// What takes the bytes of a target.
pub enum Outputs<'a> {
    /// One file.
    One(&'a dyn Output),
    /// Several files, each with a part of the disk, and one that names them.
    Split {
        /// The parts in the disk's order, with the names that the descriptor has for them.
        parts: Vec<(&'a str, &'a dyn Output)>,
        /// The target itself, which names the parts.
        descriptor: &'a dyn Output,
    },
}

impl<'a> Outputs<'a> {
    /// The target's own file.
    pub fn own(&self) -> &'a dyn Output {
        match self {
            Self::One(output) => *output,
            Self::Split { descriptor, .. } => *descriptor,
        }
    }
}

impl<'a> From<&'a dyn Output> for Outputs<'a> {
    fn from(output: &'a dyn Output) -> Self {
        Self::One(output)
    }
}

impl<'a, O: Output> From<&'a O> for Outputs<'a> {
    fn from(output: &'a O) -> Self {
        Self::One(output)
    }
}
