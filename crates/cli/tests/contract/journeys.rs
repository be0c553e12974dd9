//! The journeys that the README describes, line by line.

use diskferry_testkit::child::{Bounded, command};
use diskferry_testkit::machine;

use crate::{Ended, Folder};

/// What stands in the README between two headings.
fn section(heading: &str) -> &'static str {
    let readme = include_str!("../../../../README.md");
    let start = readme.find(heading).expect("the README has this section") + heading.len();
    let rest = &readme[start..];
    rest.split("\n## ").next().unwrap_or(rest)
}

#[test]
fn every_line_of_the_journeys_works() {
    let folder = Folder::new();
    folder.write("disk.raw", &machine());
    folder.done(&["convert", "-q", "disk.raw", "disk.qcow2"]);
    folder.done(&["convert", "-q", "disk.raw", "machine.ova"]);
    let packed = command("tar")
        .args(["-czf", "export.raw.tar.gz", "disk.raw"])
        .current_dir(folder.root())
        .run_aloud();
    assert!(packed.unwrap().success());

    let lines: Vec<&str> = section("## From one cloud to another")
        .lines()
        .filter_map(|line| line.strip_prefix("$ diskferry "))
        .collect();
    assert!(lines.len() >= 10, "{lines:?}");
    for line in &lines {
        let code = if line.contains("# exit 1") { 1 } else { 0 };
        let run = format!("'{}' {line}", env!("CARGO_BIN_EXE_diskferry"));
        let output = command("sh").args(["-c", &run]).current_dir(folder.root()).run();
        Ended::of(&[line], output.unwrap()).coded(code);
    }

    // Whatever it passed through, it is the same disk.
    for made in ["server.zvhd2", "for-aws.vmdk", "for-aliyun.qcow2", "for-gcp.tar.gz", "disk.vhd"] {
        folder.done(&["compare", "disk.raw", made]);
    }
}
