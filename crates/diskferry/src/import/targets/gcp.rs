//! Google Compute Engine.

use diskferry_wrap::TarKind;

use super::super::check::{self, any};
use super::super::kind::Layer;
use super::super::make::GCP;
use super::super::profile::Profile;
use super::super::rule::{Rule, Source};
use super::common::{
    BACKUP_GPT, EFI_LOADER, GIB, NOT_ENCRYPTED, NOTHING_BEYOND, PARTITIONED, SECTORS, SOUND, WHOLE,
};
use crate::format::Format;

const MANUAL: Source =
    Source { title: "Google Cloud documents, Import boot disk images manually", date: "2025" };

pub(super) static IMPORT: Profile = Profile {
    name: "gcp",
    title: "Google Compute Engine: an image from a tar.gz",
    makes: &[GCP],
    unit: GIB,
    least: GIB,
    rules: &[
        Rule::new("format", &check::Formats(&[any(Format::RAW)]), MANUAL)
            .code("The tar archive is not a valid image."),
        Rule::new("wrapping", &check::Wrapping(&[&[Layer::GZIP, Layer::Tar]]), MANUAL)
            .code("The tar archive is not a valid image."),
        Rule::new("member-name", &check::Member("disk.raw"), MANUAL)
            .code("The tar archive is not a valid image."),
        Rule::new("only-member", &check::OnlyMember, MANUAL)
            .code("The tar archive is not a valid image."),
        Rule::new("tar-format", &check::Tar(TarKind::Gnu), MANUAL)
            .code("The tar archive is not a valid image.")
            .hint("pack it as the manual says: tar --format=oldgnu -Sczf disk.tar.gz disk.raw"),
        SOUND.code("The tar archive is not a valid image."),
        Rule::new("whole-gib", &check::VirtualUnit(GIB), MANUAL),
        PARTITIONED,
        EFI_LOADER,
        NOT_ENCRYPTED,
        SECTORS,
        BACKUP_GPT,
        NOTHING_BEYOND,
        WHOLE,
    ],
    notes: &["the largest size is not published"],
};
