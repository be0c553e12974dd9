//! The command line: one definition that gives help, completions and the man page.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use diskferry::block_stream::parse_size;
use diskferry::convert::{Algorithm, SectorSize, Uuid, VirtualSize};
use diskferry::import::{ImportTarget, import_targets};
use diskferry::place::Access;
use diskferry::source::Limits;
use diskferry::{Format, formats};

/// Turns a disk image that one cloud or hypervisor exported into a file that another will import.
#[derive(Parser)]
#[command(name = "diskferry", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = CODES, after_long_help = EXAMPLES_AND_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// The exit codes, which are a contract with scripts.
macro_rules! codes {
    () => {
        "\
Exit codes:
  0    done
  1    the answer is no: the disks differ, problems were found, not import-ready
  2    wrong usage, or the target exists
  3    unsupported, or an image refers to files that it may not have
  4    damaged image
  5    input or output failed
  6    a limit was reached
  130  interrupted"
    };
}

const CODES: &str = codes!();

const EXAMPLES_AND_CODES: &str = concat!(
    "\
Examples:
  diskferry convert disk.qcow2 disk.raw --verify
  diskferry convert -c disk.raw disk.qcow2
  diskferry convert -O raw disk.qcow2 - | ssh host 'cat > /srv/disk.raw'
  diskferry preflight --for azure disk.vmdk
  diskferry convert --for azure disk.vmdk disk.vhd
  diskferry info disk.qcow2
  diskferry compare disk.qcow2 disk.raw

",
    codes!()
);

#[derive(Subcommand)]
pub enum Command {
    /// Convert an image to another format
    #[command(after_long_help = format_options())]
    Convert(Convert),
    /// Say what an image is
    Info(Info),
    /// List the extents of an image's virtual disk
    Map(Look),
    /// Read every table of an image and list what is wrong
    ///
    /// Exits with 1 when there is anything.
    Check(Check),
    /// Compare the virtual disks of two images, whatever their formats
    ///
    /// Exits with 1 when they differ.
    Compare(Compare),
    /// Compute digests of virtual disks: the same for every format
    Digest(Digest),
    /// Say whether an image is ready for an import, rule by rule
    ///
    /// Reads the tables, and all that is stored compressed, for only that tells whether it can be
    /// unpacked: that takes one reading of the file. So do the digests of an OVF package, and what is
    /// behind the last partition. Exits with 1 when it is not ready.
    Preflight(Preflight),
    /// List the import targets, or the rules of one
    Targets(Targets),
    /// List the formats and their options
    Formats(Formats),
    /// Write a completion script for a shell to stdout
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual page to stdout
    Man,
}

#[derive(Args)]
pub struct Convert {
    /// The image to convert; - is stdin
    #[arg(value_hint = ValueHint::FilePath)]
    pub source: PathBuf,
    /// The file to write; - is stdout
    #[arg(value_hint = ValueHint::FilePath)]
    pub target: PathBuf,
    #[command(flatten)]
    pub from: Source,
    /// The target's format [default: by its extension]
    #[arg(short = 'O', long, value_name = "FMT", value_parser = format_parser())]
    pub to: Option<Format>,
    /// Make it ready to be imported there, or refuse; see `diskferry targets`
    #[arg(long = "for", value_name = "TARGET", value_parser = target_parser())]
    pub import: Option<ImportTarget>,
    /// Rules of the import target that the disk may break
    #[arg(long, value_name = "RULE", value_delimiter = ',', requires = "import")]
    pub waive: Vec<String>,
    /// Options of the target's format; see `diskferry formats`
    #[arg(short, long = "option", value_name = "KEY=VALUE", value_delimiter = ',', value_parser = key_value)]
    pub option: Vec<(String, String)>,
    /// Compress the target, optionally at this level of the codec
    #[arg(short, long, value_name = "LEVEL", num_args = 0..=1, require_equals = true)]
    pub compress: Option<Option<u32>>,
    /// Grow the virtual disk to this size, with zeros at its end; or `original`, the size that it had
    /// before its format (zvhd, zvhd2) rounded it up
    #[arg(long, value_name = "SIZE", value_parser = virtual_size)]
    pub size: Option<VirtualSize>,
    /// Where the disk's end moves, move the backup of its GPT there; from a pipe this needs --size
    #[arg(long)]
    pub move_gpt: bool,
    /// Write a GPT anew that counts in sectors of another size than the target shows its guests; from a pipe
    /// this needs --size
    #[arg(long, value_name = "BYTES", value_parser = sectors_parser())]
    pub gpt_sectors: Option<SectorSize>,
    /// Let --size be less than the disk's, and drop the rest if it is all zeros
    #[arg(long, requires = "size")]
    pub allow_shrink: bool,
    /// Trust the source's map instead of looking for zeros in its data; on XFS, btrfs and their like,
    /// uncompressed targets then share the source's storage
    #[arg(long)]
    pub no_zero_scan: bool,
    /// Wait until the target is on the disk, where it survives a power failure
    #[arg(long)]
    pub sync: bool,
    /// Read the target back through its own reader and compare it with the source
    #[arg(long)]
    pub verify: bool,
    /// Digests of the virtual disk to compute in the same pass
    #[arg(long, value_name = "ALGORITHM", value_delimiter = ',', value_parser = algorithm_parser())]
    pub digest: Vec<Algorithm>,
    /// Replace an existing target
    #[arg(long)]
    pub force: bool,
    /// The target's id, for formats that have one
    #[arg(long, value_name = "UUID")]
    pub uuid: Option<Uuid>,
    /// Print no summary; warnings stay
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub work: Work,
}

#[derive(Args)]
pub struct Info {
    #[command(flatten)]
    pub look: Look,
    /// List all disks of a compressed archive, which is unpacked to its end for that; else the list ends
    /// with the first one, or that of --disk
    #[arg(long)]
    pub all_disks: bool,
}

/// One image to look at.
#[derive(Args)]
pub struct Look {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    pub image: PathBuf,
    #[command(flatten)]
    pub from: Source,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    pub look: Look,
    #[command(flatten)]
    pub work: Work,
}

#[derive(Args)]
pub struct Compare {
    /// One image
    #[arg(value_hint = ValueHint::FilePath)]
    pub a: PathBuf,
    /// The other
    #[arg(value_hint = ValueHint::FilePath)]
    pub b: PathBuf,
    #[command(flatten)]
    pub from: Source,
    /// The other image's format [default: by its content]
    #[arg(short = 'F', long, value_name = "FMT", value_parser = format_parser())]
    pub from_b: Option<Format>,
    /// Which disk of the other file, where it is an archive of several
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub disk_b: Option<u32>,
    /// An internal snapshot of the other image
    #[arg(long, value_name = "NAME")]
    pub snapshot_b: Option<String>,
    /// The other image's parent, in place of the one that it names or knows by an id
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub backing_b: Option<PathBuf>,
    /// Disks of different sizes differ, even where the rest is zeros
    #[arg(long)]
    pub strict: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub work: Work,
}

#[derive(Args)]
pub struct Digest {
    /// The images; - is stdin
    #[arg(required = true, value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub images: Vec<PathBuf>,
    /// The digests to compute
    #[arg(
        short, long, value_name = "ALGORITHM", value_delimiter = ',', default_value = "sha256",
        value_parser = algorithm_parser()
    )]
    pub algorithm: Vec<Algorithm>,
    #[command(flatten)]
    pub from: Source,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub work: Work,
}

#[derive(Args)]
pub struct Preflight {
    /// The image
    #[arg(value_hint = ValueHint::FilePath)]
    pub image: PathBuf,
    /// Where it is to be imported; see `diskferry targets`
    #[arg(long = "for", value_name = "TARGET", value_parser = target_parser())]
    pub target: ImportTarget,
    /// What the object or the image will be called there
    #[arg(long, value_name = "NAME")]
    pub as_name: Option<String>,
    /// Rules that the image may break
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub waive: Vec<String>,
    #[command(flatten)]
    pub from: Source,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub work: Work,
}

#[derive(Args)]
pub struct Targets {
    /// Show the rules of this one
    #[arg(value_parser = target_parser())]
    pub target: Option<ImportTarget>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Formats {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How sources are opened.
#[derive(Args)]
pub struct Source {
    /// The source's format [default: by its content]
    #[arg(short = 'f', long, value_name = "FMT", value_parser = format_parser())]
    pub from: Option<Format>,
    /// Which disk, where the file is an archive of several; the first is 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub disk: Option<u32>,
    /// An internal snapshot instead of the active state, by id or name
    #[arg(long, value_name = "NAME")]
    pub snapshot: Option<String>,
    /// Let an image refer to files under DIR [default: only plain names beside it]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub allow_path: Vec<PathBuf>,
    /// The image's parent, in place of the one that it names or knows by an id
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub backing: Option<PathBuf>,
    /// Where an image that comes in order and cannot be read so (qcow2, VDI, dynamic VHD in a compressed
    /// file or out of a pipe) is unpacked to, in a file without a name [default: $TMPDIR, or /tmp]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub scratch: Option<PathBuf>,
    /// Read an image that a running machine has locked; its content may be torn
    #[arg(short = 'U', long)]
    pub force_share: bool,
    /// Bounds on what an image may ask for: metadata, size, unpacked, window, ratio, depth, files, extents,
    /// members, nesting
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = limit)]
    pub limit: Vec<(String, String)>,
    /// How files are read
    #[arg(long, value_name = "WAY", default_value = "auto", hide = true)]
    pub io: Io,
}

/// What the work may use, and how it is shown.
#[derive(Args)]
pub struct Work {
    /// Threads [default: one for each core]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Bound on the memory for buffers
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size)]
    pub memory: u64,
    /// When to show progress on stderr
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar, when stderr is a terminal
    Auto,
    /// A bar on a terminal, else a line each second
    Always,
    /// Nothing
    Never,
    /// A line of JSON each second
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Io {
    /// As is quickest
    Auto,
    /// Through a memory map, where that is safe
    Map,
    /// By reads at positions
    Read,
}

impl From<Io> for Access {
    fn from(io: Io) -> Self {
        match io {
            Io::Auto => Self::Auto,
            Io::Map => Self::Map,
            Io::Read => Self::Read,
        }
    }
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    let values = formats()
        .iter()
        .map(|format| PossibleValue::new(format.name()).aliases(format.aliases().iter().copied()));
    PossibleValuesParser::new(values)
        .map(|name| Format::from_name(&name).expect("the parser takes names of the table only"))
}

fn target_parser() -> impl TypedValueParser<Value = ImportTarget> {
    PossibleValuesParser::new(import_targets().iter().map(|target| target.name())).map(|name| {
        ImportTarget::from_name(&name).expect("the parser takes names of the table only")
    })
}

fn algorithm_parser() -> impl TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(Algorithm::ALL.map(Algorithm::name))
        .map(|name| name.parse().expect("the parser takes names of algorithms only"))
}

fn sectors_parser() -> impl TypedValueParser<Value = SectorSize> {
    PossibleValuesParser::new(["512", "4096"]).map(|bytes| match bytes.as_str() {
        "512" => SectorSize::B512,
        _ => SectorSize::B4096,
    })
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

fn limit(text: &str) -> Result<(String, String), String> {
    let (name, value) = key_value(text)?;
    Limits::default().set(&name, &value).map_err(|error| error.to_string())?;
    Ok((name, value))
}

fn virtual_size(text: &str) -> Result<VirtualSize, String> {
    match text {
        "original" => Ok(VirtualSize::Original),
        _ => size(text).map(VirtualSize::Bytes).map_err(|error| format!("{error}; or original")),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("an option is written KEY=VALUE".to_owned()),
    }
}

/// The target options of every format, for the long help.
fn format_options() -> String {
    let mut text = String::from("Target options (-o KEY=VALUE), default first:\n");
    for format in formats() {
        for option in format.options() {
            text.push_str(&format!(
                "  {:6} {}={}\n         {}\n",
                format.name(),
                option.key,
                option.values,
                option.about
            ));
        }
    }
    text.push_str("\nWith SOURCE_DATE_EPOCH and --uuid the same source gives the same bytes.");
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    fn convert(arguments: &[&str]) -> Result<Convert, clap::Error> {
        let line = ["diskferry", "convert"].iter().chain(arguments);
        match Arguments::try_parse_from(line)?.command {
            Command::Convert(convert) => Ok(convert),
            _ => panic!("convert was asked for"),
        }
    }

    #[test]
    fn compression_takes_its_level_only_after_an_equals_sign() {
        for (arguments, compress) in [
            (&["a", "b"][..], None),
            (&["-c", "a", "b"], Some(None)),
            (&["--compress", "a", "b"], Some(None)),
            (&["-c=9", "a", "b"], Some(Some(9))),
            (&["--compress=3", "a", "b"], Some(Some(3))),
        ] {
            assert_eq!(convert(arguments).unwrap().compress, compress, "{arguments:?}");
        }
    }

    #[test]
    fn options_come_in_lists_and_repeatedly() {
        let parsed = convert(&["-o", "a=1,b=2", "-o", "c=x=y", "s", "t"]).unwrap();
        let pairs: Vec<_> = parsed.option.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "2"), ("c", "x=y")]);
        assert!(convert(&["-o", "nonsense", "s", "t"]).is_err());
    }

    #[test]
    fn sizes_and_formats_are_checked() {
        let parsed = convert(&["--size", "20G", "-f", "dd", "-O", "qcow2", "s", "t"]).unwrap();
        assert_eq!(parsed.size, Some(VirtualSize::Bytes(20 << 30)));
        let parsed = convert(&["--size", "original", "s", "t"]).unwrap();
        assert_eq!(parsed.size, Some(VirtualSize::Original));
        let parsed = convert(&["-f", "dd", "-O", "qcow2", "s", "t"]).unwrap();

        assert_eq!((parsed.from.from, parsed.to), (Some(Format::RAW), Some(Format::QCOW2)));
        for arguments in
            [&["--size", "20X"][..], &["-O", "floppy"], &["-j", "0"], &["--allow-shrink"]]
        {
            assert!(convert(&[arguments, &["s", "t"]].concat()).is_err(), "{arguments:?}");
        }
    }
}
