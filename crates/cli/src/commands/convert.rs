//! `diskferry convert`.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use diskferry::convert::{BackupGpt, Durability, Identity, Replace, Shrink, Verify, Zeros};
use diskferry::format::Compress;
use diskferry::look::Info;
use diskferry::source::Backing;
use diskferry::{Error, Location, Summary};

use super::{Outcome, Pairs, print_json, stdout, unique, warn};
use crate::advice;
use crate::args;
use crate::human;
use crate::outcome::{Answer, Failure};
use crate::progress::Display;

/// Converts, and says what was done.
pub fn convert(arguments: args::Convert) -> Outcome {
    let job = arguments.work.job(&arguments.target)?;
    let request = request(&arguments)?;
    let (progress, quiet) = (arguments.work.progress, arguments.quiet);
    let when =
        if quiet && progress == args::Progress::Auto { args::Progress::Never } else { progress };
    let display = Display::start(when, &job.control);
    let converted = request.run(&job);
    drop(display);
    let mut summary = converted?;
    warn(&summary.warnings);
    if quiet {
        return Ok(Answer::Yes);
    }
    let to_stdout = match &request.target {
        Location::Standard => false,
        Location::Path(path) => !is_stdout(path),
        _ => true,
    };
    // The target is there, whole: that nobody could be told does not undo it.
    let _ = if to_stdout {
        report(&mut summary, arguments.json, &mut stdout())
    } else {
        report(&mut summary, arguments.json, &mut io::stderr())
    };
    Ok(Answer::Yes)
}

fn request(arguments: &args::Convert) -> Result<diskferry::Convert, Failure> {
    let source = Location::from_argument(&arguments.source);
    let target = Location::from_argument(&arguments.target);
    let identity = Identity::default().uuid(arguments.uuid).time(source_date_epoch()?);
    Ok(diskferry::Convert::new(source, target)
        .open(arguments.from.open_options(Backing::Required))
        .to(arguments.to)
        .import(arguments.import)
        .waive(arguments.waive.clone())
        .options(arguments.option.clone())
        .compress(arguments.compress.map(Compress::at))
        .size(arguments.size)
        .shrink(if arguments.allow_shrink { Shrink::DropZeros } else { Shrink::Refuse })
        .backup_gpt(if arguments.move_gpt { BackupGpt::Moved } else { BackupGpt::Kept })
        .gpt_sectors(arguments.gpt_sectors)
        .zeros(if arguments.no_zero_scan { Zeros::Trust } else { Zeros::Scan })
        .digests(unique(&arguments.digest))
        .verify(if arguments.verify { Verify::ReadBack } else { Verify::Trust })
        .replace(if arguments.force { Replace::Allowed } else { Replace::Never })
        .durability(if arguments.sync { Durability::Synced } else { Durability::Cached })
        .identity(identity))
}

/// The time that goes into targets instead of now: <https://reproducible-builds.org/specs/source-date-epoch/>.
fn source_date_epoch() -> Result<Option<u64>, Error> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    seconds.map(Some).ok_or_else(|| {
        Error::misuse(format!("SOURCE_DATE_EPOCH: '{}' is no number of seconds", text.display()))
    })
}

/// Whether a path leads to what stdout is, such as `/dev/stdout`: the disk is there, then.
fn is_stdout(path: &Path) -> bool {
    let Ok(handle) = io::stdout().as_fd().try_clone_to_owned() else { return false };
    let (Ok(ours), Ok(theirs)) = (File::from(handle).metadata(), path.metadata()) else {
        return false;
    };
    // What goes to a terminal or to /dev/null mixes with nothing.
    !ours.file_type().is_char_device() && (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())
}

fn report(summary: &mut Summary, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    if json {
        advice::word(&mut summary.warnings);
        advice::word_info(&mut summary.source);
        advice::word_info(&mut summary.target);
        print_json(out, summary)?;
    } else {
        describe(summary, out)?;
    }
    out.flush()?;
    Ok(())
}

fn describe(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let Summary { source, target, copied, zeros, seconds, digests, verified, .. } = summary;
    writeln!(out, "{} -> {}", human::plain(&source.file), human::plain(&target.file))?;
    let mut lines = Pairs::new();
    lines.add("formats", format!("{} -> {}", told(source), kind(target)));
    lines.add("virtual size", virtual_size(target));
    if source.virtual_size != target.virtual_size {
        lines.more(format!("the source has {}", virtual_size(source)));
    }
    if let Some(bytes) = source.scratch {
        lines.add(
            "unpacked",
            format!("{} to a scratch file, to read it anywhere", human::size(bytes)),
        );
    }
    lines.add("copied", human::size(*copied));
    lines.add("zeros skipped", human::size(*zeros));
    lines.add("target size", stored(target));
    lines.add("time", format!("{}, {}", human::duration(*seconds), human::rate(*copied, *seconds)));
    for (algorithm, digest) in digests {
        lines.add(algorithm.name(), digest);
    }
    if let Some(target) = summary.ready_for {
        lines.add("ready for", target);
    }
    if *verified {
        lines.add("verified", "the target reads back the same");
    }
    lines.print(out)
}

/// The kind of a source, and whether nothing but the lack of a signature tells it.
pub(super) fn told(info: &Info) -> String {
    let assumed = if info.assumed { " (assumed)" } else { "" };
    format!("{}{assumed}", kind(info))
}

/// Format and subformat, the latter where it says more.
pub(super) fn kind(info: &Info) -> String {
    match &info.subformat {
        Some(subformat) if subformat != info.format => format!("{} {subformat}", info.format),
        _ => info.format.to_owned(),
    }
}

/// The virtual size, where it is known.
pub(super) fn virtual_size(info: &Info) -> String {
    info.virtual_size.map_or_else(|| "unknown until it is unpacked".to_owned(), human::exact_size)
}

/// What its files take together.
fn stored(info: &Info) -> String {
    let further = &info.data_files;
    let length = info.file_size + further.iter().map(|file| file.file_size).sum::<u64>();
    let allocated: Option<u64> = further.iter().map(|file| file.allocated_size).sum();
    let allocated = info.allocated_size.zip(allocated).map(|(own, others)| own + others);
    let mut text = human::file_size(length, allocated);
    if !further.is_empty() {
        text.push_str(&format!(", in {} files", further.len() + 1));
    }
    text
}
