//! What a conversion did, and what there is to say about its target.

use diskferry_block_stream::{Note, NoteKind, Result};
use diskferry_codec::digest::Algorithm;
use serde::Serialize;
use serde::ser::Serializer;

use crate::convert::unit::Unit;
use crate::format::{Format, GIB};
use crate::look::info::{Info, as_lines, as_map};
use crate::source::image::DiskImage;

/// What a conversion did.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The source.
    pub source: Info,
    /// The target.
    pub target: Info,
    /// Bytes of the disk that were stored in the target.
    pub copied: u64,
    /// Bytes of the disk that were not, being zeros.
    pub zeros: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The digests asked for, in that order, in hexadecimal.
    #[serde(serialize_with = "digests_as_map")]
    pub digests: Vec<(Algorithm, String)>,
    /// Whether the target was read back and found the same.
    pub verified: bool,
    /// The import target that the result is ready for, where one was given.
    pub ready_for: Option<&'static str>,
    /// Odd things about the source and the conversion.
    #[serde(serialize_with = "as_lines")]
    pub warnings: Vec<Note>,
}

fn digests_as_map<S: Serializer>(
    digests: &[(Algorithm, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let named: Vec<_> = digests.iter().map(|(kind, digest)| (kind.name(), digest)).collect();
    as_map(&named, serializer)
}

/// What there is to say about a target that was read back.
pub(super) fn target_info(name: &str, format: Format, image: &DiskImage) -> Info {
    let info = image.info();
    let format = if format.is_package() { format.name() } else { info.format };
    // What a raw image cannot tell of itself is known of this one.
    Info { file: name.to_owned(), format, warnings: image.warnings().to_vec(), ..info }
}

/// Says that the target's virtual size is not the one asked for, where it is not.
pub(super) fn rounding(name: &str, format: Format, size: u64, unit: Unit) -> Option<Note> {
    let held = Some(unit.held(size)).filter(|held| *held != size)?;
    let what = match unit.0 {
        512 => "sectors of 512 bytes".to_owned(),
        GIB => "GiB".to_owned(),
        grain => format!("grains of {grain} bytes"),
    };
    let text = format!(
        "the virtual size was rounded up from {size} to {held} bytes, as {format} holds whole {what} only"
    );
    Some(Note::of(NoteKind::Size, name, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_size_that_is_rounded_is_a_warning() {
        for (size, unit, text) in [
            (1000, 1, None),
            (1024, 512, None),
            (0, 65536, None),
            (1000, 512, Some("from 1000 to 1024 bytes, as vmdk holds whole sectors of 512")),
            (1024, 65536, Some("from 1024 to 65536 bytes, as vmdk holds whole grains of 65536")),
            (u64::MAX, 512, None),
        ] {
            let warning = rounding("t.vmdk", Format::VMDK, size, Unit(unit));
            assert_eq!(warning.is_some(), text.is_some(), "{size}");
            let said = warning.map(|note| note.to_string()).unwrap_or_default();
            assert!(said.contains(text.unwrap_or_default()), "{size}");
        }
    }
}
