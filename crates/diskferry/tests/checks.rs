//! `check` beside `qemu-img check`, on every image of `testdata/` of a format that QEMU checks: good ones,
//! those of strangers, and damaged ones.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::Read;
use std::path::Path;

use diskferry::{Backing, Job, Location, OpenOptions, ProblemKind};
use diskferry_testkit::qemu;
use flate2::read::GzDecoder;

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Clean,
    /// Storage that nothing uses.
    Leaks,
    Corrupt,
    /// It is no image, or one that is not checked.
    Refused,
}

use Finding::{Clean, Corrupt, Leaks, Refused};

/// Images of which we say something else than QEMU, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("header-length-odd.qcow2", "the specification wants a multiple of 8"),
    ("parent-none.vdi", "a differencing disk without a parent would be read as another disk"),
    ("redundant-directory.vmdk", "the first directory is damaged; QEMU looks at the other only"),
    ("type-0.vdi", "no such type"),
    ("type-9.vdi", "no such type"),
    ("v2-zero-cluster.qcow2", "version 2 has no zero clusters: nothing can be read there"),
    ("zero-block.vdi", "a block that was given up is a leak, for nothing is lost by it"),
    ("zeroed-grain.vmdk", "a grain that was given up; QEMU does not look for leaks in VMDK"),
];

/// Whether the two go together. What QEMU does not open at all tells nothing: it opens backing files for a
/// check, and knows less of VMDK.
fn agree(name: &str, hostile: bool, theirs: Finding, ours: Finding) -> bool {
    match (theirs, ours) {
        (Refused, _) | (Clean, Clean) | (Corrupt, Corrupt | Refused) | (Leaks, Leaks) => true,
        // It looks only for grains past the end.
        (Clean, _) if hostile && name.ends_with(".vmdk") => true,
        _ => OTHERWISE.iter().any(|(known, _)| *known == name),
    }
}

#[test]
fn check_agrees_with_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let (mut wrong, mut met) = (Vec::new(), [0; 4]);
    for part in ["", "hostile"] {
        unpack(&testdata.join(part), &folder.path().join(part));
    }
    let mut images: Vec<_> = ["", "hostile"]
        .iter()
        .flat_map(|part| fs::read_dir(folder.path().join(part)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    images.sort();
    for path in images {
        let format = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        // QEMU opens files that name themselves until it has no memory left.
        let endless = ["-loop-", "-self."].iter().any(|part| path.to_string_lossy().contains(part));
        if endless || !["qcow2", "vdi", "vmdk"].contains(&format) {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let (theirs, said) = qemus(&path, format);
        let (ours, problems) = ours(&path);
        met[theirs as usize] += 1;
        let hostile = path.parent().is_some_and(|folder| folder.ends_with("hostile"));
        if !agree(name, hostile, theirs, ours) {
            wrong.push(format!("{name}: QEMU {theirs:?} ({said}), we {ours:?} {problems:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(met.iter().all(|count| *count > 0), "{met:?}");
}

/// Copies a folder's files, those that are kept packed unpacked.
fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !path.is_file() {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if let Some(name) = name.strip_suffix(".gz") {
            let mut unpacked = Vec::new();
            GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).unwrap();
            bytes = unpacked;
            fs::write(to.join(name), bytes).unwrap();
        } else {
            fs::write(to.join(name), bytes).unwrap();
        }
    }
}

fn qemus(path: &Path, format: &str) -> (Finding, String) {
    match qemu::try_check(path, format) {
        Ok(check) => {
            let count = |key: &str| check.json[key].as_u64().unwrap_or_default();
            let found = match (count("corruptions") + count("check-errors"), count("leaks")) {
                (0, 0) => Clean,
                (0, _) => Leaks,
                _ => Corrupt,
            };
            (found, check.json.to_string())
        }
        Err(said) => (Refused, said),
    }
}

fn ours(path: &Path) -> (Finding, Vec<String>) {
    let options = OpenOptions { backing: Backing::Ignored, ..OpenOptions::default() };
    let image = match options.open_image(&Location::from(path)) {
        Ok(image) => image,
        Err(error) => return (Refused, vec![error.to_string()]),
    };
    let (mut found, mut texts) = (Clean, Vec::new());
    let checked = image.check(&Job::new(1).unwrap(), &mut |problem| {
        texts.push(format!("{}: {}", problem.kind.as_str(), problem.text));
        texts.truncate(3);
        found = match (found, problem.kind) {
            (_, ProblemKind::Corruption) => Corrupt,
            (Clean, ProblemKind::Leak) => Leaks,
            (found, _) => found,
        };
    });
    match checked {
        Ok(()) => (found, texts),
        Err(error) => (Refused, vec![error.to_string()]),
    }
}
