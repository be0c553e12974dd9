//! One rule of an import target: what it asks for, how sure that is, and where it is written.

use std::fmt;

use diskferry_block_stream::{Detail, ProblemKind};
use diskferry_inspect::{Content, ContentKind, Finding as Note, Inspection, System, TableKind};
use diskferry_wrap::{Point, TarKind};
use serde::Serialize;

use super::facts::{Facts, is_of_backup};

/// One rule of an import target.
pub struct Rule {
    pub(super) id: &'static str,
    pub(super) check: Check,
    severity: Severity,
    certainty: Certainty,
    code: Option<&'static str>,
    hint: Option<&'static str>,
    source: Source,
}

/// What an image that breaks a rule comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The target refuses it, or the machine does not start.
    Refuses,
    /// It may be refused, or it works with a drawback.
    Warns,
}

/// How sure a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// Tried out.
    Measured,
    /// Read in the source that the rule names.
    Read,
    /// Inferred, or from hearsay. Such a rule only ever warns.
    Unverified,
}

/// Where a rule is written.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Source {
    /// The document or the program.
    pub title: &'static str,
    /// When it was current: a year, a month or a day, as ISO 8601 has them.
    pub date: &'static str,
}

/// What a rule asks of an image. Sizes are in bytes.
pub(super) enum Check {
    /// One of these formats.
    Format(&'static [Accepts]),
    /// Where it is that format, one of these kinds of it.
    Kind(Accepts),
    /// Wrapped in one of these ways, the outermost first; the empty one is no wrapping at all.
    Wrapping(&'static [&'static [&'static str]]),
    /// In an archive, under this name.
    Member(&'static str),
    /// In an archive, alone.
    OnlyMember,
    /// In an archive of this kind.
    Tar(TarKind),
    /// In an OVF package to which nobody objects for this.
    Object(Point),
    /// Not in that format.
    Not(&'static str),
    /// All of it in one file.
    OneFile,
    /// No backing file.
    NoParent,
    /// None of these, which are keys of `info`'s details.
    Lacks(&'static [(&'static str, &'static str)]),
    /// A virtual size in these bounds.
    VirtualSize(Bounds),
    /// A virtual size that is a multiple of this.
    VirtualUnit(u64),
    /// A file size in these bounds.
    FileSize(Bounds),
    /// A fixed VHD that is so much longer than its disk, no more and no less.
    FileOverhead(u64),
    /// So many bytes of the disk in use.
    Stored(Bounds),
    /// A sparse VMDK, of that kind where one is named, of whole grains.
    WholeGrains(Option<&'static str>),
    /// A streamOptimized VMDK with at least this version in its header.
    StreamVersion(u64),
    /// A streamOptimized VMDK that ends with its end-of-stream marker.
    StreamEnd,
    /// A dynamic VHD whose two footers are the same.
    Footers,
    /// No problem in the image's tables, nor in what it stores compressed.
    Sound,
    /// A file that OpenStack's inspector takes for one thing only.
    OneFormat,
    /// A VMDK's header and descriptor as OpenStack's inspector wants them.
    GlanceVmdk,
    /// A raw image with the file beside it that the target wants for each.
    RawCompanion(&'static str),
    /// One of these partition tables.
    Table(&'static [TableKind]),
    /// Any partition table at all.
    Partitioned,
    /// On a raw disk, a master boot record as OpenStack's inspector wants it.
    OpenStackTable,
    /// A disk that can start by BIOS.
    Bios,
    /// A loader where firmware looks for it, on disks that start by UEFI only.
    EfiLoader,
    /// A root file system of these, where there is one to be seen.
    Root(&'static [ContentKind]),
    /// No file system of the ext family with all of these features.
    NoExtFeatures(&'static [&'static str]),
    /// No encrypted partition.
    NotEncrypted,
    /// No logical volumes.
    NoVolumes,
    /// No Windows on a GPT.
    NoWindowsOnGpt,
    /// The backup of the GPT at the disk's end, and sound.
    BackupGpt,
    /// A partition table that counts in sectors of 512 bytes.
    Sectors512,
    /// Nothing after the last partition.
    NothingBeyond,
    /// Partitions and file systems that end within the disk.
    Whole,
    /// A name for the image or the object, as it will be called there.
    Name(NameRule),
    /// The name of the file, which becomes the object's.
    FileName(NameRule),
}

/// A format that a target takes.
pub(super) struct Accepts {
    pub format: &'static str,
    /// Only these kinds of it; all where there are none.
    pub subformats: &'static [&'static str],
}

/// Any kind of a format.
pub(super) const fn any(format: &'static str) -> Accepts {
    Accepts { format, subformats: &[] }
}

/// Some kinds of a format.
pub(super) const fn only(format: &'static str, subformats: &'static [&'static str]) -> Accepts {
    Accepts { format, subformats }
}

/// An interval, both ends included.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub least: u64,
    pub most: u64,
    /// Beyond this, up to `most`, nobody knows.
    pub sure: u64,
}

/// No less than the one, no more than the other.
pub(super) const fn between(least: u64, most: u64) -> Bounds {
    Bounds { least, most, sure: most }
}

/// No more than this.
pub(super) const fn at_most(most: u64) -> Bounds {
    between(0, most)
}

/// No more than so many GB, where the document does not say whether those are of 10^9 or of 2^30
/// bytes.
pub(super) const fn at_most_gb(most: u64) -> Bounds {
    Bounds { least: 0, most: most << 30, sure: most * 1_000_000_000 }
}

/// The same of TB.
pub(super) const fn at_most_tb(most: u64) -> Bounds {
    Bounds { least: 0, most: most << 40, sure: most * 1_000_000_000_000 }
}

/// What a name may be.
pub(super) struct NameRule {
    /// What has the name: "image name", "object name prefix".
    pub what: &'static str,
    /// The rule in words.
    pub text: &'static str,
    /// Characters that it has, at least and at most.
    pub length: (usize, usize),
    /// Whether it is a name, but for its length.
    pub allows: fn(&str) -> bool,
}

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The image has what the rule asks for, or the rule is not about such images.
    Holds(String),
    /// It has not.
    Broken(String),
    /// Whether it has depends on how the rule is meant.
    Doubtful(String),
    /// There was no looking.
    Unknown(String),
}

impl Rule {
    /// A rule that was read, and refuses.
    pub(super) const fn new(id: &'static str, check: Check, source: Source) -> Self {
        Self {
            id,
            check,
            severity: Severity::Refuses,
            certainty: Certainty::Read,
            code: None,
            hint: None,
            source,
        }
    }

    pub(super) const fn measured(mut self) -> Self {
        self.certainty = Certainty::Measured;
        self
    }

    pub(super) const fn unverified(mut self) -> Self {
        self.certainty = Certainty::Unverified;
        self.severity = Severity::Warns;
        self
    }

    /// A shared rule where a document has it.
    pub(super) const fn read_in(mut self, source: Source) -> Self {
        (self.certainty, self.severity) = (Certainty::Read, Severity::Refuses);
        self.source = source;
        self
    }

    pub(super) const fn warns(mut self) -> Self {
        self.severity = Severity::Warns;
        self
    }

    /// The target's own error.
    pub(super) const fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// What a person can do where no conversion helps.
    pub(super) const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The rule's name, unique among its target's.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// What an image that breaks it comes to.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// How sure it is.
    pub fn certainty(&self) -> Certainty {
        self.certainty
    }

    /// The target's own error code or message for what the rule prevents.
    pub fn error_code(&self) -> Option<&'static str> {
        self.code
    }

    /// What a person can do where no conversion helps.
    pub fn advice(&self) -> Option<&'static str> {
        self.hint
    }

    /// Where it is written.
    pub fn source(&self) -> Source {
        self.source
    }

    /// What it asks for, in words.
    pub fn text(&self) -> String {
        self.check.to_string()
    }
}

impl Check {
    /// Whether an image must be read to judge it.
    pub fn needs_content(&self) -> bool {
        matches!(
            self,
            Self::Table(_)
                | Self::Partitioned
                | Self::OpenStackTable
                | Self::Bios
                | Self::EfiLoader
                | Self::Root(_)
                | Self::NoExtFeatures(_)
                | Self::NotEncrypted
                | Self::NoVolumes
                | Self::NoWindowsOnGpt
                | Self::BackupGpt
                | Self::Sectors512
                | Self::Whole
        )
    }

    /// Whether an image's format alone breaks it, or what the image is wrapped in.
    pub fn is_told_by_name(&self, facts: &Facts) -> bool {
        match self {
            // Of which kind it is, nobody knows.
            Self::Format(accepted) => accepted.iter().all(|it| it.format != facts.format),
            Self::Wrapping(_) | Self::Member(_) | Self::Not(_) => true,
            _ => false,
        }
    }

    /// Judges an image by what is known of it.
    pub fn judge(&self, facts: &Facts) -> Finding {
        match self {
            Self::Format(accepted) => format(accepted, facts),
            Self::Kind(accepts) if accepts.format != facts.format => {
                Finding::Holds(format!("not {}", accepts.format))
            }
            Self::Kind(accepts) => format(std::slice::from_ref(accepts), facts),
            Self::Wrapping(ways) => wrapping(ways, facts),
            Self::Member(name) => match facts.member.as_deref() {
                None => Finding::Holds("not in an archive".into()),
                Some(own) if facts.is_dotted(own) => {
                    Finding::Broken(format!("in the archive it is called './{own}', not '{name}'"))
                }
                Some(own) => said(
                    own == *name,
                    || format!("the archive has '{own}'"),
                    || format!("in the archive it is called '{own}', not '{name}'"),
                ),
            },
            Self::OnlyMember => match &facts.survey {
                _ if !is_in("tar", facts) => Finding::Holds("not in an archive".into()),
                None => Finding::Unknown("the archive was not looked through".into()),
                Some(survey) => said(
                    survey.members.len() == 1,
                    || "one member".into(),
                    || format!("the archive has {}", members(&survey.members)),
                ),
            },
            Self::Tar(kind) => match &facts.survey {
                _ if !is_in("tar", facts) => Finding::Holds("not in an archive".into()),
                None => Finding::Unknown("the archive was not looked through".into()),
                Some(survey) => {
                    let kinds: Vec<&str> = survey.kinds.iter().map(|kind| kind.name()).collect();
                    said(
                        survey.kinds == [*kind],
                        || format!("the archive is of the kind {}", kind.name()),
                        || format!("the archive is of the kind {}", kinds.join(" and ")),
                    )
                }
            },
            Self::Object(point) => match &facts.objections {
                _ if !is_in("ova", facts) => Finding::Holds("not in an OVF package".into()),
                None => Finding::Unknown("the package was not looked at".into()),
                Some(found) => {
                    let found = found.iter().filter(|objection| objection.point == *point);
                    let found: Vec<String> = found.map(|found| found.text.clone()).collect();
                    none_of(&found, "nothing to object to")
                }
            },
            Self::Not(format) => said(
                facts.format != *format,
                || format!("not {format}"),
                || format!("it is {format}"),
            ),
            Self::OneFormat => match &facts.glance {
                None => Finding::Unknown("the file's beginning was not looked at".into()),
                Some(found) => said(
                    !found.is_ambiguous(),
                    || "one format".into(),
                    || format!("it looks like: {}", found.formats.join(", ")),
                ),
            },
            Self::GlanceVmdk => match &facts.glance {
                None => Finding::Unknown("the file's beginning was not looked at".into()),
                Some(found) => said(
                    found.objection.is_none(),
                    || "nothing to object to".into(),
                    || found.objection.unwrap_or_default().into(),
                ),
            },
            Self::OneFile => said(
                facts.files == 1,
                || "one file".into(),
                || format!("{} files make the image", facts.files),
            ),
            Self::NoParent => said(
                !facts.has_parent,
                || "no backing file".into(),
                || "it needs a backing file, which would not go along".into(),
            ),
            Self::Lacks(features) => lacks(features, facts),
            Self::VirtualSize(_) if facts.virtual_size == 0 => {
                Finding::Broken("the disk is empty".to_owned())
            }
            Self::VirtualSize(bounds) => bounds.judge("the virtual size", Some(facts.virtual_size)),
            Self::VirtualUnit(unit) => said(
                facts.virtual_size.is_multiple_of(*unit),
                || format!("the virtual size is a whole number of {}", size(*unit)),
                || {
                    format!(
                        "the virtual size of {} bytes is no multiple of {}",
                        facts.virtual_size,
                        size(*unit)
                    )
                },
            ),
            Self::FileSize(bounds) => bounds.judge("the file", facts.file_size),
            Self::FileOverhead(_) if facts.kind() != "vhd fixed" => {
                Finding::Holds("not a fixed VHD".into())
            }
            Self::FileOverhead(overhead) => match facts.image_size {
                None if facts.file_size.is_some() => Finding::Unknown(
                    "it is in a compressed file; its own length was not told".into(),
                ),
                None => unwritten(),
                Some(length) => said(
                    facts.virtual_size.checked_add(*overhead) == Some(length),
                    || format!("the file is the disk and {overhead} bytes"),
                    || {
                        format!(
                            "the file of {length} bytes is not the disk of {} and {overhead} bytes",
                            facts.virtual_size
                        )
                    },
                ),
            },
            Self::Stored(bounds) => match facts.stored {
                None => Finding::Unknown("what is in use was not counted".into()),
                stored => bounds.judge("what is in use of the disk", stored),
            },
            Self::WholeGrains(kind) => whole_grains(*kind, facts),
            Self::StreamVersion(least) => stream_version(*least, facts),
            Self::StreamEnd => stream_end(facts),
            Self::Footers => footers(facts),
            Self::Sound => sound(facts),
            Self::NothingBeyond => match facts.stray {
                None => Finding::Unknown("the disk's end was not looked at".into()),
                Some(None) => Finding::Holds("nothing after the last partition".into()),
                Some(Some(at)) => {
                    Finding::Broken(format!("there is data at {at:#x}, after the last partition"))
                }
            },
            Self::RawCompanion(what) => said(
                facts.format != "raw",
                || "not raw".into(),
                || format!("a raw image needs {what}"),
            ),
            Self::Name(rule) => rule.judge(facts.as_name.as_deref()),
            Self::FileName(rule) => rule.judge(facts.as_name.as_deref().or(facts.name.as_deref())),
            _ => match &facts.content {
                Some(disk) => self.judge_content(disk, facts),
                None => Finding::Unknown("the disk's content was not looked at".into()),
            },
        }
    }

    fn judge_content(&self, disk: &Inspection, facts: &Facts) -> Finding {
        match self {
            Self::Table(accepted) => table(accepted, disk),
            Self::Partitioned => said(
                disk.table != TableKind::None,
                || format!("partition table: {}", disk.table),
                || "there is no partition table".into(),
            ),
            Self::OpenStackTable => openstack_table(disk, facts),
            Self::Bios => said(
                disk.boot.bios.boot_code,
                || "there is boot code for a BIOS".into(),
                || "there is no boot code for a BIOS in the first sector".into(),
            ),
            Self::EfiLoader => efi_loader(disk),
            Self::Root(accepted) => root(accepted, disk),
            Self::NoExtFeatures(features) => no_ext_features(features, disk),
            Self::NotEncrypted => none_of(
                &places(disk, |content| content.kind.is_encrypted()),
                "nothing is encrypted",
            ),
            Self::NoVolumes => none_of(
                &places(disk, |content| {
                    matches!(content.kind, ContentKind::Lvm2 | ContentKind::LinuxRaid)
                }),
                "no logical volumes",
            ),
            Self::NoWindowsOnGpt => said(
                !matches!(disk.table, TableKind::Gpt | TableKind::HybridMbr)
                    || disk.root.is_none_or(|root| root.system != System::Windows),
                || "no Windows on a GPT".into(),
                || "Windows starts from a GPT".into(),
            ),
            Self::BackupGpt => none_of(&notes(disk, is_of_backup), "no GPT without its backup"),
            Self::Sectors512 => match disk.sector_size {
                Some(size @ 513..) => Finding::Broken(format!(
                    "the partition table ({}) counts in sectors of {size} bytes",
                    disk.table
                )),
                _ => Finding::Holds("no partition table that counts in other sectors".into()),
            },
            Self::Whole => none_of(
                &notes(disk, |finding| {
                    matches!(finding, Note::PastEnd { .. } | Note::ContentCut { .. })
                }),
                "partitions and file systems end within the disk",
            ),
            _ => unreachable!("all others are judged without the content"),
        }
    }
}

fn said(holds: bool, good: impl FnOnce() -> String, bad: impl FnOnce() -> String) -> Finding {
    if holds { Finding::Holds(good()) } else { Finding::Broken(bad()) }
}

fn none_of(found: &[String], good: &str) -> Finding {
    said(found.is_empty(), || good.into(), || found.join("; "))
}

fn is_in(wrapper: &str, facts: &Facts) -> bool {
    facts.wrapping.iter().any(|layer| layer == wrapper)
}

/// Some of the names, in words.
fn members(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("'{name}'")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn unwritten() -> Finding {
    Finding::Unknown("the file is not written yet".into())
}

fn format(accepted: &[Accepts], facts: &Facts) -> Finding {
    let kind = facts.kind();
    let subformat = facts.subformat.as_deref().unwrap_or("");
    let takes = |accepts: &&Accepts| {
        accepts.format == facts.format
            && (accepts.subformats.is_empty() || accepts.subformats.contains(&subformat))
    };
    said(
        accepted.iter().any(|accepts| takes(&accepts)),
        || kind.clone(),
        || format!("{kind} is not among: {}", list(accepted)),
    )
}

fn wrapping(ways: &[&[&str]], facts: &Facts) -> Finding {
    let found = |way: &[&str]| match way {
        [] => "not wrapped".to_owned(),
        way => way.join(" of "),
    };
    let own: Vec<&str> = facts.wrapping.iter().map(String::as_str).collect();
    let wanted: Vec<String> = ways.iter().map(|way| found(way)).collect();
    said(
        ways.contains(&own.as_slice()),
        || found(&own),
        || format!("it is wrapped: {}; it should be: {}", found(&own), wanted.join(", or ")),
    )
}

fn lacks(features: &[(&str, &str)], facts: &Facts) -> Finding {
    let has = |key: &str| {
        facts
            .details
            .iter()
            .any(|(name, detail)| *name == key && !matches!(detail, Detail::Flag(false)))
    };
    let found: Vec<&str> =
        features.iter().filter(|(key, _)| has(key)).map(|(_, words)| *words).collect();
    said(found.is_empty(), || "nothing of the kind".into(), || found.join(", "))
}

fn whole_grains(kind: Option<&str>, facts: &Facts) -> Finding {
    let is_meant =
        facts.format == "vmdk" && kind.is_none_or(|kind| facts.subformat.as_deref() == Some(kind));
    let Some(grain) = facts.number("grain_size").filter(|grain| is_meant && *grain > 0) else {
        return Finding::Holds(format!("not a {} VMDK", kind.unwrap_or("sparse")));
    };
    said(
        facts.virtual_size.is_multiple_of(grain),
        || format!("whole grains of {}", size(grain)),
        || {
            format!(
                "the virtual size of {} bytes is no whole number of grains of {grain} bytes",
                facts.virtual_size
            )
        },
    )
}

fn is_stream(facts: &Facts) -> bool {
    facts.format == "vmdk" && facts.subformat.as_deref() == Some("streamOptimized")
}

fn stream_version(least: u64, facts: &Facts) -> Finding {
    if !is_stream(facts) {
        return Finding::Holds("not a streamOptimized VMDK".into());
    }
    let Some(version) = facts.number("version") else { return unwritten() };
    said(
        version >= least,
        || format!("header version {version}"),
        || format!("header version {version} is less than {least}"),
    )
}

fn stream_end(facts: &Facts) -> Finding {
    if !is_stream(facts) {
        return Finding::Holds("not a streamOptimized VMDK".into());
    }
    match facts.ends_in_zeros {
        None => unwritten(),
        Some(true) => Finding::Holds("the end-of-stream marker is there".into()),
        Some(false) => Finding::Broken("no end-of-stream marker ends the file".into()),
    }
}

fn footers(facts: &Facts) -> Finding {
    match facts.text("footers") {
        None => Finding::Holds("no copy of a footer to differ".into()),
        Some("identical") => Finding::Holds("both footers are the same".into()),
        Some(other) => Finding::Broken(format!("the copies of the footer: {other}")),
    }
}

fn sound(facts: &Facts) -> Finding {
    let Some(problems) = &facts.problems else {
        return Finding::Unknown("the tables were not checked".into());
    };
    // What is wrong with the footers of a VHD is a rule of its own.
    let of_footers = |at: u64| {
        facts.text("footers").is_some_and(|footers| footers != "identical")
            && (at == 0 || facts.image_size.is_some_and(|length| at + 512 >= length))
    };
    let mut corrupt = problems.iter().filter(|problem| {
        problem.kind == ProblemKind::Corruption && !problem.at.is_some_and(of_footers)
    });
    match corrupt.next() {
        None => Finding::Holds("no problem in its tables, nor in what is compressed".into()),
        Some(first) => {
            let more = corrupt.count();
            let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
            Finding::Broken(format!("{}{rest}", first.text))
        }
    }
}

fn table(accepted: &[TableKind], disk: &Inspection) -> Finding {
    let wanted: Vec<String> = accepted.iter().map(TableKind::to_string).collect();
    // Whether there must be one is another rule.
    said(
        disk.table == TableKind::None || accepted.contains(&disk.table),
        || format!("partition table: {}", disk.table),
        || format!("the partition table is {}, not {}", disk.table, wanted.join(" or ")),
    )
}

/// The inspector looks into no other format than raw.
fn openstack_table(disk: &Inspection, facts: &Facts) -> Finding {
    if facts.format != "raw" {
        return Finding::Holds("the inspector looks only at the format".into());
    }
    let objections: Vec<String> =
        disk.openstack.objections.iter().map(ToString::to_string).collect();
    none_of(&objections, "nothing to object to in the partition table")
}

fn efi_loader(disk: &Inspection) -> Finding {
    let machines: Vec<&str> =
        disk.boot.uefi.architectures.iter().map(|machine| machine.key()).collect();
    said(
        disk.boot.bios.boot_code || !machines.is_empty(),
        || match machines.as_slice() {
            [] => "it starts by BIOS".into(),
            some => format!("loaders where UEFI looks: {}", some.join(", ")),
        },
        || {
            "there is no boot code for a BIOS, and no EFI/BOOT/BOOT*.EFI on an EFI system partition"
                .into()
        },
    )
}

fn root(accepted: &[ContentKind], disk: &Inspection) -> Finding {
    match disk.root {
        None => Finding::Holds("no root file system to be seen".into()),
        Some(root) if root.hidden => Finding::Holds(format!("the root is in an {}", root.kind)),
        Some(root) => said(
            accepted.contains(&root.kind),
            || format!("the root file system is {}", root.kind),
            || {
                let wanted: Vec<String> = accepted.iter().map(ToString::to_string).collect();
                format!("the root file system is {}, not among: {}", root.kind, wanted.join(", "))
            },
        ),
    }
}

fn no_ext_features(features: &[&str], disk: &Inspection) -> Finding {
    let is_ext = |kind| matches!(kind, ContentKind::Ext2 | ContentKind::Ext3 | ContentKind::Ext4);
    let found = places(disk, |content| {
        is_ext(content.kind) && features.iter().all(|feature| content.features.has(feature))
    });
    let found: Vec<String> =
        found.iter().map(|place| format!("{place} has {}", features.join(" and "))).collect();
    none_of(&found, "no such feature")
}

/// What of the disk's content is so: `partition 2: ext4`.
fn places(disk: &Inspection, is: impl Fn(&Content) -> bool) -> Vec<String> {
    let whole = disk.content.iter().map(|content| (None, content));
    let parts = disk.partitions.iter();
    let parts = parts.filter_map(|part| Some((Some(part.number), part.content.as_ref()?)));
    whole
        .chain(parts)
        .filter(|(_, content)| is(content))
        .map(|(number, content)| match number {
            Some(number) => format!("partition {number}: {content}"),
            None => format!("the disk: {content}"),
        })
        .collect()
}

fn notes(disk: &Inspection, is: impl Fn(&Note) -> bool) -> Vec<String> {
    disk.notes.iter().filter(|note| is(&note.finding)).map(ToString::to_string).collect()
}

impl Bounds {
    fn judge(self, what: &str, value: Option<u64>) -> Finding {
        match value {
            None => unwritten(),
            Some(value) if value > self.most => {
                Finding::Broken(format!("{what}: {value} bytes are more than {}", size(self.most)))
            }
            Some(value) if value < self.least => {
                Finding::Broken(format!("{what}: {value} bytes are less than {}", size(self.least)))
            }
            Some(value) if value > self.sure => Finding::Doubtful(format!(
                "{what}: {value} bytes are more than {} GB, if those are of 10^9 bytes",
                self.sure / 1_000_000_000
            )),
            Some(value) => Finding::Holds(format!("{what}: {value} bytes")),
        }
    }
}

impl NameRule {
    pub fn takes(&self, name: &str) -> bool {
        (self.length.0..=self.length.1).contains(&name.chars().count()) && (self.allows)(name)
    }

    fn judge(&self, name: Option<&str>) -> Finding {
        let Some(name) = name else {
            return Finding::Unknown(format!("no {} was given: --as-name", self.what));
        };
        said(
            self.takes(name),
            || format!("{}: '{name}'", self.what),
            || format!("'{name}' is no {}: {}", self.what, self.text),
        )
    }
}

/// What the rule asks for.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(accepted) => write!(f, "the format is one of: {}", list(accepted)),
            Self::Kind(accepts) => {
                write!(f, "a {} is {}", accepts.format, accepts.subformats.join(" or "))
            }
            Self::Wrapping(ways) => {
                let ways: Vec<String> = ways
                    .iter()
                    .map(|way| if way.is_empty() { "nothing".into() } else { way.join(" of ") })
                    .collect();
                write!(f, "it is wrapped in {}", ways.join(", or "))
            }
            Self::Member(name) => write!(f, "in its archive it is called {name}"),
            Self::OnlyMember => f.write_str("in its archive there is nothing else"),
            Self::Tar(kind) => write!(f, "its archive is of the kind {}", kind.name()),
            Self::Object(point) => f.write_str(wanted(*point)),
            Self::Not(format) => write!(f, "it is not {format}"),
            Self::OneFormat => f.write_str("OpenStack's inspector takes it for one thing only"),
            Self::GlanceVmdk => f.write_str(
                "OpenStack's inspector has nothing to object to in a VMDK's header and descriptor",
            ),
            Self::OneFile => f.write_str("the image is one file"),
            Self::NoParent => f.write_str("it has no backing file"),
            Self::Lacks(features) => {
                let words: Vec<&str> = features.iter().map(|(_, words)| *words).collect();
                write!(f, "it has none of: {}", words.join(", "))
            }
            Self::VirtualSize(bounds) => write!(f, "the virtual size is {bounds}"),
            Self::VirtualUnit(unit) => {
                write!(f, "the virtual size is a multiple of {}", size(*unit))
            }
            Self::FileSize(bounds) => write!(f, "the file is {bounds}"),
            Self::FileOverhead(overhead) => {
                write!(f, "the file of a fixed VHD is its disk and {overhead} bytes, no more")
            }
            Self::Stored(bounds) => write!(f, "what is in use of the disk is {bounds}"),
            Self::WholeGrains(kind) => {
                write!(f, "a {} VMDK has whole grains only", kind.unwrap_or("sparse"))
            }
            Self::StreamVersion(least) => {
                write!(f, "a streamOptimized VMDK has header version {least} or more")
            }
            Self::StreamEnd => {
                f.write_str("a streamOptimized VMDK ends with an end-of-stream marker")
            }
            Self::Footers => f.write_str("both footers of a dynamic VHD are the same"),
            Self::Sound => f.write_str(
                "there is no problem in the image's tables, and what is compressed can be unpacked",
            ),
            Self::RawCompanion(what) => write!(f, "a raw image has {what}"),
            Self::Table(accepted) => {
                let words: Vec<String> = accepted.iter().map(TableKind::to_string).collect();
                write!(f, "the partition table, if any, is {}", words.join(" or "))
            }
            Self::Partitioned => f.write_str("there is a partition table"),
            Self::OpenStackTable => f.write_str(
                "OpenStack's inspector has nothing to object to in a raw disk's partition table",
            ),
            Self::Bios => f.write_str("the disk can start by BIOS"),
            Self::EfiLoader => {
                f.write_str("a disk that starts by UEFI alone has EFI/BOOT/BOOT*.EFI")
            }
            Self::Root(accepted) => {
                let words: Vec<String> = accepted.iter().map(ToString::to_string).collect();
                write!(f, "the root file system is one of: {}", words.join(", "))
            }
            Self::NoExtFeatures(features) => {
                write!(f, "no ext2, ext3 or ext4 has {}", features.join(" together with "))
            }
            Self::NotEncrypted => f.write_str("nothing is encrypted"),
            Self::NoVolumes => f.write_str("there are no logical volumes"),
            Self::NoWindowsOnGpt => f.write_str("Windows does not start from a GPT"),
            Self::BackupGpt => f.write_str("the backup of a GPT is at the disk's end"),
            Self::Sectors512 => f.write_str(
                "a partition table counts in sectors of 512 bytes, which is what the machine is shown",
            ),
            Self::NothingBeyond => f.write_str("there is no data after the last partition"),
            Self::Whole => f.write_str("partitions and file systems end within the disk"),
            Self::Name(rule) | Self::FileName(rule) => write!(f, "{}: {}", rule.what, rule.text),
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            _ if self.sure < self.most => write!(
                f,
                "at most {} GB (the document does not say whether of 10^9 or of 2^30 bytes)",
                self.sure / 1_000_000_000
            ),
            (0, most) => write!(f, "at most {}", size(most)),
            (least, u64::MAX) => write!(f, "at least {}", size(least)),
            (least, most) => write!(f, "{} to {}", size(least), size(most)),
        }
    }
}

/// What importers want of an OVF package.
fn wanted(point: Point) -> &'static str {
    match point {
        Point::First => "in an OVA the descriptor is the first member",
        Point::Order => "in an OVA the files are in the order of the descriptor's list",
        Point::Missing => "all files that an OVF lists are there",
        Point::Size => "files are as long as the OVF says",
        Point::Format => "the disks of an OVF have the address of VMware's format",
        Point::Folder => "the files of an OVF have plain names, without folders",
        Point::Controller => "the machine in an OVF has a controller for each disk",
        Point::Devices => "the devices in an OVF are Items, as in OVF 1",
        Point::Manifest => "lines of the manifest are of the form SHA256(name)= digest, or SHA1",
        Point::Digest => "the digests in the manifest are those of the files",
        Point::Unlisted => "a manifest has a digest of each file",
        Point::Kind => "the digests in the manifest are of the kinds SHA1 and SHA256",
        Point::Second => "an OVA has one descriptor and one manifest",
        Point::Capacity => "the disks of an OVF are of the size that it gives them",
        Point::Resource => "the devices in an OVF lead to disks and files that it lists",
        Point::Draft => "the format of an OVF's disks is not given as drafts had it",
        Point::End => "an archive without a descriptor has an end mark",
    }
}

fn list(accepted: &[Accepts]) -> String {
    let words: Vec<String> = accepted
        .iter()
        .map(|Accepts { format, subformats }| match subformats {
            [] => (*format).to_owned(),
            some => format!("{format} ({})", some.join(", ")),
        })
        .collect();
    words.join(", ")
}

/// A size in the largest unit that it is a whole number of.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    match unit {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}
