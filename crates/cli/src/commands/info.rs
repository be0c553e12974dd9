//! `diskferry info`.

use std::io::{self, Write};

use diskferry::Location;
use diskferry::look::{DataFile, Info, SnapshotInfo, WrappedDisk};
use diskferry::source::{Backing, Choice};

use super::convert::{told, virtual_size};
use super::{Outcome, Pairs, print_json, print_table, stdout};
use crate::advice;
use crate::args;
use crate::human;
use crate::outcome::Answer;

/// Says what an image is. A backing file that cannot be opened is a warning here.
pub fn info(arguments: args::Info) -> Outcome {
    let args::Info { look: args::Look { image, from, json }, all_disks } = arguments;
    let open = from.open_options(Backing::Lenient);
    // Of several disks the first is shown, and all that are known are listed.
    let disk = from.disk.map_or(Choice::First, Choice::Number);
    let open = open.disk(disk).scratch(None);
    let location = Location::from_argument(image);
    let mut info = match all_disks {
        true => open.info_with_all_disks(&location)?,
        false => open.info(&location)?,
    };
    let mut out = stdout();
    if json {
        advice::word_info(&mut info);
        print_json(&mut out, &info)?;
    } else {
        describe(&info, &mut out)?;
    }
    out.flush()?;
    Ok(Answer::Yes)
}

fn describe(info: &Info, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", human::plain(&info.file))?;
    let mut lines = Pairs::new();
    lines.add("format", told(info));
    if !info.wrapping.is_empty() {
        lines.add("wrapped in", info.wrapping.join(", "));
    }
    if let Some(snapshot) = &info.snapshot {
        lines.add("snapshot", snapshot);
    }
    lines.add("virtual size", virtual_size(info));
    lines.add("file size", human::exact_size(info.file_size));
    if let Some(allocated) = info.allocated_size {
        lines.add("allocated", human::exact_size(allocated));
    }
    add_data_files(info, &mut lines);
    if info.grain > 1 {
        lines.add("grain", human::size(info.grain));
    }
    if let Some(creator) = &info.creator {
        lines.add("creator", creator);
    }
    if let Some(compression) = info.compression {
        lines.add("compression", compression);
    }
    for (name, id) in &info.ids {
        lines.add(name, id);
    }
    for (name, detail) in &info.details {
        lines.add(name, detail.to_string());
    }
    add_chain(info, &mut lines);
    for (index, WrappedDisk { name, size, format }) in info.disks.iter().enumerate() {
        let size = size.map_or_else(String::new, |size| format!(", {}", human::size(size)));
        let format = format.map_or_else(String::new, |format| format!(", {format}"));
        let text = format!("{}: {name}{size}{format}", index + 1);
        if index == 0 { lines.add("disks", text) } else { lines.more(text) }
    }
    if !info.disks_complete {
        lines.more("not looked further: it is compressed; --all-disks lists all");
    }
    for (index, warning) in info.warnings.iter().enumerate() {
        let warning = advice::noted(warning);
        if index == 0 { lines.add("warnings", warning) } else { lines.more(warning) }
    }
    lines.print(out)?;
    if !info.snapshots.is_empty() {
        writeln!(out, "\nSnapshots")?;
        print_snapshots(&info.snapshots, out)?;
    }
    Ok(())
}

/// A split image has thousands of them: what is alike is not all shown.
fn add_data_files(info: &Info, lines: &mut Pairs) {
    const SHOWN: usize = 16;
    for (index, DataFile { file, file_size, allocated_size }) in
        info.data_files.iter().take(SHOWN).enumerate()
    {
        let text = format!("{file}: {}", human::file_size(*file_size, *allocated_size));
        if index == 0 { lines.add("data files", text) } else { lines.more(text) }
    }
    if info.data_files.len() > SHOWN {
        lines.more(format!("and {} more", info.data_files.len() - SHOWN));
    }
}

fn add_chain(info: &Info, lines: &mut Pairs) {
    for (depth, link) in info.chain.iter().enumerate().skip(1) {
        let format = link.format.as_deref().unwrap_or("unknown format");
        let size = match (link.virtual_size, &link.error) {
            (Some(size), _) => human::size(size),
            (None, Some(_)) => "not opened".to_owned(),
            (None, None) => "unknown size".to_owned(),
        };
        let text = format!("{} ({format}, {size})", link.file);
        if depth == 1 { lines.add("backed by", text) } else { lines.more(text) }
    }
}

fn print_snapshots(snapshots: &[SnapshotInfo], out: &mut impl Write) -> io::Result<()> {
    let head = ["ID", "NAME", "TAKEN (UTC)", "DISK", "STATE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for snapshot in snapshots {
        rows.push(vec![
            snapshot.id.clone(),
            snapshot.name.clone(),
            human::moment(snapshot.time),
            snapshot.virtual_size.map_or_else(|| "-".to_owned(), human::size),
            human::size(snapshot.state_size),
        ]);
    }
    print_table(out, &rows, &[false, false, false, true, true])
}
