//! What a format's options are for whoever lets it write.

use crate::{Detail, Error, Plan, Result, Stamp};

/// A format as a target: its options, set one by one, and what follows from them.
pub trait Writing {
    /// Sets one option by its name on the command line.
    ///
    /// # Errors
    /// `Misuse` when there is no such option, or it has no such value.
    fn set(&mut self, key: &str, value: &str) -> Result<()>;

    /// Asks for compression; `level` is the codec's own, `None` its usual one.
    ///
    /// # Errors
    /// `Misuse` where the format has none, or not such a level. Some tell of that when they plan, as an
    /// option that comes later may choose another codec.
    fn compress(&mut self, level: Option<u32>) -> Result<()> {
        let _ = level;
        Err(Error::misuse("the format has no compression"))
    }

    /// How a disk of `size` bytes is stored; `None` where the size is known only at the end.
    ///
    /// # Errors
    /// `Misuse` for options that do not go together; `Limit` or `Unsupported` where the format cannot hold
    /// that.
    fn plan(&self, size: Option<u64>, naming: &Naming<'_>) -> Result<Plan>;

    /// What the virtual sizes of such images are multiples of, in bytes. A size between two of them is
    /// rounded up, with zeros.
    fn unit(&self) -> u64;

    /// What such an image will say of itself.
    fn foretell(&self) -> Foretold;
}

/// What a target is called, in itself and outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Naming<'a> {
    /// The ids and times that go into it.
    pub stamp: Stamp,
    /// The name of its file, without the folder; `None` where it has none, or none that is text.
    pub file: Option<&'a str>,
}

/// What is known of an image before it is written, by its options alone, in the words of the
/// [`Description`](crate::Description) that it will have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foretold {
    /// The format's name for this kind of file.
    pub subformat: &'static str,
    /// Whether it is more than one file.
    pub is_split: bool,
    /// Those of its details that are chosen.
    pub details: Vec<(&'static str, Detail)>,
}

impl Foretold {
    /// One file of that kind, of which there is no more to say.
    pub fn of(subformat: &'static str) -> Self {
        Self { subformat, is_split: false, details: Vec::new() }
    }
}
