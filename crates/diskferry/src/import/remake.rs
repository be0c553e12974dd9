//! The conversion that makes an image ready, as data.

use diskferry_inspect::SectorSize;

use super::facts::Facts;
use super::kind::Layer;
use super::profile::ImportTarget;
use crate::format::Format;
use crate::place::standard::STDIN;

/// The conversion that makes an image ready for a target. Whoever opened the image knows how it is
/// opened again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remake {
    /// The image, as it was given; `None` for standard input.
    pub image: Option<String>,
    /// A name for what is made.
    pub made: String,
    /// What it is for.
    pub target: ImportTarget,
    /// Ids of the rules that it may break.
    pub waived: Vec<String>,
    /// What becomes of a GPT.
    pub gpt: Gpt,
    /// The disk's size in bytes, where the image tells it only at its end: many targets want it before.
    pub size: Option<u64>,
}

/// What a conversion does with a GPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gpt {
    /// It stays as it is.
    Keep,
    /// Its backup moves to the disk's end.
    MoveBackup,
    /// It is written anew, for sectors of that size.
    Sectors(SectorSize),
}

impl Remake {
    /// The conversion of an image to a disk of `size` bytes.
    pub(super) fn new(
        (target, waived): (ImportTarget, &[String]),
        image: &str,
        made: String,
        facts: &Facts,
        size: u64,
    ) -> Self {
        let gpt = match (facts.resectors_gpt(size), facts.moves_gpt(size)) {
            (true, _) => Gpt::Sectors(SectorSize::B512),
            (false, true) => Gpt::MoveBackup,
            (false, false) => Gpt::Keep,
        };
        let is_packed = matches!(facts.wrapping.last(), Some(Layer::Packed(_)));
        let is_untold = is_packed && [Format::RAW, Format::VHD].contains(&facts.format);
        Self {
            image: (image != STDIN).then(|| image.to_owned()),
            made,
            target,
            waived: waived.to_vec(),
            gpt,
            size: is_untold.then_some(facts.virtual_size),
        }
    }
}
