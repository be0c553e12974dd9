//! `diskferry completions` and `diskferry man`: the definition of the command line, in other forms.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Outcome, stdout};
use crate::args::Arguments;
use crate::outcome::Answer;

/// Writes a completion script.
pub fn completions(shell: Shell) -> Outcome {
    // clap_complete panics where its writer fails, so it writes into memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "diskferry", &mut script);
    let mut out = stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Answer::Yes)
}

/// Writes one page that has every sub-command.
pub fn man() -> Outcome {
    let mut out = stdout();
    out.write_all(page()?.as_bytes())?;
    out.flush()?;
    Ok(Answer::Yes)
}

fn page() -> io::Result<String> {
    let mut command = Arguments::command();
    command.build();
    let top = Man::new(command.clone()).title("DISKFERRY").section("1");
    let mut page = Vec::new();
    top.render_title(&mut page)?;
    top.render_name_section(&mut page)?;
    top.render_synopsis_section(&mut page)?;
    top.render_description_section(&mut page)?;
    top.render_subcommands_section(&mut page)?;
    // There are no further pages: what they would say follows here.
    let mut page = text(page).replace("diskferry\\-", "").replace("(1)\n", "\n");
    for sub in command.get_subcommands() {
        page.push_str(&format!(".SH \"DISKFERRY {}\"\n", sub.get_name().to_uppercase()));
        page.push_str(&section(sub)?);
    }
    let mut end = Vec::new();
    top.render_extra_section(&mut end)?;
    top.render_version_section(&mut end)?;
    page.push_str(&text(end).replace(".SH EXTRA", ".SH \"EXAMPLES AND EXIT STATUS\""));
    Ok(page)
}

/// What a page of a sub-command's own would say, as a section of the whole.
fn section(command: &clap::Command) -> io::Result<String> {
    let man = Man::new(command.clone());
    let mut part = Vec::new();
    man.render_synopsis_section(&mut part)?;
    man.render_description_section(&mut part)?;
    if command.get_arguments().any(|argument| argument.get_id() != "help") {
        man.render_options_section(&mut part)?;
    }
    if command.get_after_help().is_some() || command.get_after_long_help().is_some() {
        man.render_extra_section(&mut part)?;
    }
    let lines = text(part);
    let inner = lines.lines().map(|line| match line.strip_prefix(".SH ") {
        Some("EXTRA") => ".SS NOTES\n".to_owned(),
        Some(title) => format!(".SS {title}\n"),
        None => format!("{line}\n"),
    });
    Ok(inner.collect())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
