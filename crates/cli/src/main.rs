//! The `diskferry` command: arguments, terminal, exit codes; the work is the library's.
#![forbid(unsafe_code)]

mod advice;
mod args;
mod commands;
mod human;
mod outcome;
mod progress;
mod rlimit;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

fn main() -> ExitCode {
    if let Err(error) = signals::take_over() {
        return outcome::conclude(Err(error.into()));
    }
    outcome::prepare_for_bugs();
    rlimit::allow_many_files();
    let outcome = match Arguments::parse().command {
        Command::Convert(arguments) => commands::convert(arguments),
        Command::Info(arguments) => commands::info(arguments),
        Command::Map(arguments) => commands::map(arguments),
        Command::Check(arguments) => commands::check(arguments),
        Command::Compare(arguments) => commands::compare(arguments),
        Command::Digest(arguments) => commands::digest(arguments),
        Command::Preflight(arguments) => commands::preflight(arguments),
        Command::Targets(arguments) => commands::targets(arguments),
        Command::Formats(arguments) => commands::formats(arguments),
        Command::Completions { shell } => commands::completions(shell),
        Command::Man => commands::man(),
    };
    outcome::conclude(outcome)
}
