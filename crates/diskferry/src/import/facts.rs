//! What the rules look at: an image and its disk, in facts.

use diskferry_block_stream::{Detail, Problem};
use diskferry_inspect::{Finding, Inspection, SectorSize};
use diskferry_wrap::{Objection, Survey};

use super::glance::Glance;
use super::kind::{Kind, Layer, Subformat};
use crate::format::Format;

/// What is known of an image, or planned of one that is yet to be written.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub format: Format,
    /// Which kind of it, where that is told.
    pub kind: Option<Kind>,
    /// What it is wrapped in, the outermost first.
    pub wrapping: Vec<Layer>,
    /// Its name in the archive that it is in.
    pub member: Option<String>,
    /// Bytes of the virtual disk.
    pub virtual_size: u64,
    /// Bytes of the file, with all that is around the image; `None` for one that is not written.
    pub file_size: Option<u64>,
    /// Bytes of the image's own file, without what is around it; `None` for one that is not written, or
    /// is in a compressed file.
    pub image_size: Option<u64>,
    /// Files that make the image, without its chain.
    pub files: usize,
    pub has_parent: bool,
    /// What the format says of itself, as in `info`.
    pub details: Vec<(&'static str, Detail)>,
    /// Whether the last sector of the file is all zeros; `None` for a file that is not written.
    pub ends_in_zeros: Option<bool>,
    /// What is wrong in its tables and in what it stores compressed, where they were checked.
    pub problems: Option<Vec<Problem>>,
    /// Whether it could not be opened, so that no more is known than its format, and what is around it.
    pub is_unopened: bool,
    /// Whether some of it cannot be unpacked, so that no conversion helps.
    pub is_unreadable: bool,
    /// What importers mind in the OVF package that it is in, where that was looked at.
    pub objections: Option<Vec<Objection>>,
    /// What else is in its archive, where that was looked at.
    pub survey: Option<Survey>,
    /// What OpenStack's inspector takes the file for; `None` in a compressed file.
    pub glance: Option<Glance>,
    /// Bytes of the disk that are in use, where they were counted.
    pub stored: Option<u64>,
    /// The name of the file, without its folder.
    pub name: Option<String>,
    /// What the object or the image will be called, where the user says it.
    pub as_name: Option<String>,
    /// The first byte after the last partition that is not zero, if any, where it was looked for.
    pub stray: Option<Option<u64>>,
    /// What stands on the disk, where it was looked at.
    pub content: Option<Inspection>,
}

impl Facts {
    /// What is known where nothing but the format is.
    pub fn of(format: Format) -> Self {
        Self {
            format,
            kind: None,
            wrapping: Vec::new(),
            member: None,
            virtual_size: 0,
            file_size: None,
            image_size: None,
            files: 0,
            has_parent: false,
            details: Vec::new(),
            ends_in_zeros: None,
            problems: None,
            is_unopened: false,
            is_unreadable: false,
            objections: None,
            survey: None,
            glance: None,
            stored: None,
            name: None,
            as_name: None,
            stray: None,
            content: None,
        }
    }

    /// Whether it is that kind of that format.
    pub fn is(&self, format: Format, subformat: Subformat) -> bool {
        self.format == format && self.subformat() == Some(subformat)
    }

    /// The kind, where rules know it.
    pub fn subformat(&self) -> Option<Subformat> {
        self.kind.as_ref()?.subformat
    }

    /// Whether such a thing is around it.
    pub fn is_in(&self, layer: Layer) -> bool {
        self.wrapping.contains(&layer)
    }

    /// Format and kind in words, the latter where it says more.
    pub fn told(&self) -> String {
        match &self.kind {
            Some(Kind { name, .. }) if name != self.format.name() => {
                format!("{} {name}", self.format)
            }
            _ => self.format.name().to_owned(),
        }
    }

    /// Whether a conversion to `size` bytes is to move the backup of a GPT: the disk's end moves, or the
    /// backup is not there now; and it can be done.
    pub fn moves_gpt(&self, size: u64) -> bool {
        let Some(disk) = &self.content else { return false };
        let is_astray = disk.notes.iter().any(|note| is_of_backup(&note.finding));
        disk.used_gpt().is_some()
            && (size != self.virtual_size || is_astray)
            && disk.resized(size).is_ok()
    }

    /// Whether a conversion to `size` bytes is to write a GPT anew for sectors of 512 bytes; and it can be done.
    pub fn resectors_gpt(&self, size: u64) -> bool {
        let Some(disk) = &self.content else { return false };
        let to = SectorSize::B512;
        disk.used_gpt().is_some_and(|gpt| gpt.sector_size != to.bytes())
            && disk.resectored(to, size).is_ok()
    }

    /// Whether the archive has that member with `./` in front of its name.
    pub fn is_dotted(&self, member: &str) -> bool {
        let members = self.survey.iter().flat_map(|survey| &survey.members);
        let mut names = members.filter_map(|name| name.strip_prefix("./"));
        names.any(|name| name == member)
    }

    fn detail(&self, key: &str) -> Option<&Detail> {
        self.details.iter().find(|(name, _)| *name == key).map(|(_, detail)| detail)
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        match self.detail(key)? {
            Detail::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        match self.detail(key)? {
            Detail::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Whether it is about the backup of a GPT.
pub(super) fn is_of_backup(finding: &Finding) -> bool {
    matches!(
        finding,
        Finding::BackupDamaged { .. }
            | Finding::BackupMissing { .. }
            | Finding::BackupNotAtEnd { .. }
            | Finding::BackupPastEnd { .. }
            | Finding::CopiesDiffer { .. }
    )
}
