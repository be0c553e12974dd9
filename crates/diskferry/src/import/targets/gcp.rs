//! Google Compute Engine.

use super::super::rule::{Check, Rule, Source, any};
use super::super::{GCP, Profile};
use super::{BACKUP_GPT, EFI_LOADER, GIB, NOTHING_BEYOND, PARTITIONED, WHOLE};

const MANUAL: Source =
    Source { title: "Google Cloud documents, Import boot disk images manually", date: "2025" };

pub(super) static IMPORT: Profile = Profile {
    name: "gcp",
    title: "Google Compute Engine: an image from a tar.gz",
    makes: &[GCP],
    unit: GIB,
    least: GIB,
    rules: &[
        Rule::new("format", Check::Format(&[any("raw")]), MANUAL)
            .code("The tar archive is not a valid image."),
        Rule::new("wrapping", Check::Wrapping(&[&["gzip", "tar"]]), MANUAL)
            .code("The tar archive is not a valid image."),
        Rule::new("member-name", Check::Member("disk.raw"), MANUAL)
            .code("The tar archive is not a valid image."),
        Rule::new("whole-gib", Check::VirtualUnit(GIB), MANUAL),
        PARTITIONED,
        EFI_LOADER,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
    ],
    notes: &["the largest size is not published"],
};
