//! A real disk, in everything that disks travel in.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

use diskferry::convert::{Algorithm, Identity, Uuid, Verify};
use diskferry::look::{Info, ProblemKind};
use diskferry::source::{Choice, Limits};
use diskferry::{
    Control, Convert, DiskImage, ErrorKind, Format, Job, Location, Note, OpenOptions, Opened,
    Remedy, Result, Summary,
};
use diskferry_testkit::child::{Bounded, command};
use diskferry_testkit::qemu;

/// The digest that the manifest has of the real disk.
const SHA256: &str = "74cd75cb3283a087bff6bdf8096dbe14fa40e7b2ed6172891d4737eb6098c440";

const SIZE: u64 = 64 << 20;

fn real_disk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/real-disk.qcow2")
}

/// A folder in which other programs wrap things.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(qemu::temp_dir())
    }

    /// With the real disk as `disk.raw`, sparse, and as `disk.qcow2`.
    fn with_disk() -> Self {
        let folder = Self::new();
        let raw = folder.path("disk.raw");
        qemu::img(&["convert", "-O", "raw", real_disk().to_str().unwrap(), raw.to_str().unwrap()]);
        fs::copy(real_disk(), folder.path("disk.qcow2")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sh(&self, script: &str) {
        let status = command("bash").args(["-ec", script]).current_dir(self.0.path()).run_aloud();
        assert!(status.unwrap().success(), "{script}");
    }

    fn python(&self, script: &str) {
        let run = command("python3").args(["-c", script]).current_dir(self.0.path()).run_aloud();
        assert!(run.unwrap().success(), "{script}");
    }
}

fn job() -> Job {
    Job::new(2).unwrap()
}

fn digest(path: &Path, options: &OpenOptions) -> Result<(u64, String)> {
    let input = options.open(&Location::from(path), &Control::default())?;
    let (size, digests) = input.digest(&[Algorithm::Sha256], &job())?;
    Ok((size, digests[0].1.clone()))
}

fn info(path: &Path) -> Info {
    OpenOptions::default().info(&Location::from(path)).unwrap()
}

fn image(path: &Path) -> DiskImage {
    OpenOptions::default().open_image(&Location::from(path), &Control::default()).unwrap()
}

/// Wrapped and found: the disk's digest, its name, what it is in.
fn check(folder: &Folder, file: &str, inside: &str, wrapping: &[&str]) {
    let path = folder.path(file);
    let options = OpenOptions::default();
    assert_eq!(digest(&path, &options).unwrap(), (SIZE, SHA256.to_owned()), "{file}");
    let said = info(&path);
    assert_eq!(said.wrapping, wrapping, "{file}");
    assert_eq!(said.file, format!("{}{inside}", path.display()), "{file}");
    assert_eq!(said.file_size, path.metadata().unwrap().len(), "{file}");
    // As an image that can be read anywhere, and converted, with what it has looked back at.
    let image = image(&path);
    assert_eq!(image.info().virtual_size, Some(SIZE), "{file}");
    assert_eq!(image.compare(&self::image(&real_disk()), &job()).unwrap(), None, "{file}");
    let mut problems = Vec::new();
    image.check(&job(), &mut |problem| problems.push(problem)).unwrap();
    assert!(problems.is_empty(), "{file}: {problems:?}");
    let target = folder.path("target.qcow2");
    let mut convert = Convert::new(path.as_path(), target.as_path());
    convert.verify = Verify::ReadBack;
    convert.digests = vec![Algorithm::Sha256];
    let summary = convert.run(&job()).unwrap();
    assert_eq!(summary.digests[0].1, SHA256, "{file}");
    assert_eq!(summary.source.virtual_size, Some(SIZE), "{file}");
    fs::remove_file(target).unwrap();
}

#[test]
fn a_disk_comes_out_of_every_archive() {
    let folder = Folder::with_disk();
    // How GNU tar writes each kind, the tests of the archives try; here it is one without holes, and
    // one with them.
    for way in ["ustar", "posix -S"] {
        folder.sh(&format!("tar --format={way} -cf a.tar disk.raw; gzip -1 -kf a.tar"));
        check(&folder, "a.tar", "/disk.raw", &["tar"]);
        check(&folder, "a.tar.gz", "/disk.raw", &["gzip", "tar"]);
    }
    for format in ["PAX_FORMAT", "GNU_FORMAT", "USTAR_FORMAT"] {
        folder.python(&format!(
            "import tarfile\nwith tarfile.open('p.tar', 'w', format=tarfile.{format}) as t:\n t.add('disk.raw', arcname='./d/disk.raw')"
        ));
        let found = digest(&folder.path("p.tar"), &OpenOptions::default()).unwrap();
        assert_eq!(found, (SIZE, SHA256.to_owned()), "{format}");
    }
    folder.sh("xz -0 p.tar");
    check(&folder, "p.tar.xz", "/d/disk.raw", &["xz", "tar"]);
}

/// Converts what comes through a pipe, or as much of it as is asked for.
fn piped(folder: &Folder, bytes: &[u8], change: impl FnOnce(&mut Convert)) -> Result<Summary> {
    let (fifo, target) = (folder.path("fifo"), folder.path("target.raw"));
    folder.sh("rm -f fifo target.raw; mkfifo fifo");
    std::thread::scope(|scope| {
        // Who fails early reads no further.
        scope.spawn(|| _ = fs::write(&fifo, bytes));
        let mut convert = Convert::new(fifo.as_path(), target.as_path());
        change(&mut convert);
        convert.run(&job())
    })
}

#[test]
fn a_fixed_vhd_comes_out_of_everything_that_is_compressed() {
    let folder = Folder::with_disk();
    folder.sh("qemu-img convert -O vpc -o subformat=fixed,force_size=on disk.raw disk.vhd
        gzip -k1 disk.vhd; tar -cf disk.tar disk.vhd; gzip -k1 disk.tar");
    check(&folder, "disk.vhd.gz", "", &["gzip"]);
    let image = image(&folder.path("disk.vhd.gz"));
    assert_eq!((image.info().format, image.info().assumed), ("vhd", false));
    let wanted = |convert: &mut Convert| {
        convert.digests = vec![Algorithm::Sha256];
        convert.verify = Verify::ReadBack;
    };
    for name in ["disk.vhd", "disk.vhd.gz"] {
        let summary = piped(&folder, &fs::read(folder.path(name)).unwrap(), wanted).unwrap();
        assert_eq!(
            (summary.source.format, summary.source.virtual_size),
            ("vhd", Some(SIZE)),
            "{name}"
        );
        assert_eq!(summary.digests[0].1, SHA256, "{name}");
    }
    // An archive tells a size, on which a conversion counts before the footer comes.
    let path = folder.path("disk.tar.gz");
    let vhd = OpenOptions::new().format(Format::VHD);
    let error = digest(&path, &OpenOptions::default()).unwrap_err();
    assert_eq!(error.remedy(), Some(&Remedy::StateFormat { format: "vhd".to_owned() }));
    assert_eq!(digest(&path, &vhd).unwrap(), (SIZE, SHA256.to_owned()));
    assert_eq!(digest(&folder.path("disk.tar"), &OpenOptions::default()).unwrap().1, SHA256);
    // What other programs made: with a footer of 511 bytes, and shorter than its file.
    let testdata = real_disk();
    for name in ["azure", "by-geometry", "footer-511"] {
        let packed = testdata.with_file_name(format!("{name}.vhd.gz"));
        folder.sh(&format!("gzip -dc '{}' > a.vhd", packed.display()));
        let expected = digest(&folder.path("a.vhd"), &OpenOptions::default()).unwrap();
        assert_eq!(digest(&packed, &OpenOptions::default()).unwrap(), expected, "{name}");
        let summary = piped(&folder, &fs::read(folder.path("a.vhd")).unwrap(), wanted).unwrap();
        assert_eq!(summary.digests[0].1, expected.1, "{name}");
    }
}

#[test]
fn what_is_odd_about_a_stream_is_told_at_its_end() {
    let folder = Folder::with_disk();
    let zvhd = folder.path("disk.zvhd");
    Convert::new(real_disk().as_path(), zvhd.as_path()).run(&job()).unwrap();
    let whole = fs::read(&zvhd).unwrap();
    for (bytes, warns) in [(whole.clone(), false), ([&whole[..], b"more"].concat(), true)] {
        let summary = piped(&folder, &bytes, |_| {}).unwrap();
        let told =
            summary.warnings.iter().any(|text| text.text.contains("4 bytes follow the last page"));
        assert_eq!(told, warns, "{:?}", summary.warnings);
    }
}

#[test]
fn what_is_odd_at_the_end_of_a_compressed_image_is_told_by_a_check() {
    let folder = Folder::with_disk();
    let (raw, zvhd) = (folder.path("disk.raw"), folder.path("disk.zvhd"));
    Convert::new(raw.as_path(), zvhd.as_path()).run(&job()).unwrap();
    folder.sh("head -c 5000 /dev/zero >> disk.zvhd; gzip disk.zvhd");
    let mut problems = Vec::new();
    let image = image(&folder.path("disk.zvhd.gz"));
    image.check(&job(), &mut |problem| problems.push(problem)).unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].kind, ProblemKind::Oddity);
    assert!(problems[0].text.contains("5000 bytes follow the last page"), "{problems:?}");
}

#[test]
fn a_check_of_all_bytes_can_be_stopped_and_says_how_far_it_is() {
    let folder = Folder::with_disk();
    written(&folder, "a.ova", &[], 2);
    folder.sh("gzip -k1 disk.raw");
    for file in ["a.ova", "disk.raw.gz"] {
        let image = image(&folder.path(file));
        let job = job();
        image.check(&job, &mut |problem| panic!("{problem:?}")).unwrap();
        assert!(
            job.control.progress.total() > 0
                && job.control.progress.passed() == job.control.progress.total()
        );
        job.control.cancel.cancel();
        let error = image.check(&job, &mut |problem| panic!("{problem:?}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{file}");
    }
    let mut bytes = fs::read(folder.path("disk.raw.gz")).unwrap();
    let end = bytes.len() - 6;
    bytes[end] ^= 1;
    fs::write(folder.path("bad.gz"), bytes).unwrap();
    let mut problems = Vec::new();
    if let Ok(image) = OpenOptions::default()
        .open_image(&Location::from(folder.path("bad.gz")), &Control::default())
    {
        image.check(&job(), &mut |problem| problems.push(problem.text)).unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

#[test]
fn a_disk_comes_out_of_every_compressed_file() {
    let folder = Folder::with_disk();
    for module in ["gzip", "bz2", "lzma"] {
        folder.python(&format!(
            "import {module}\nwith {module}.open('a', 'wb') as f: f.write(open('disk.raw', 'rb').read())"
        ));
        let name = match module {
            "bz2" => "bzip2",
            "lzma" => "xz",
            other => other,
        };
        check(&folder, "a", "", &[name]);
    }
    let mut frames = Vec::new();
    let mut packer = diskferry_codec::ZstdPacker::new(3).unwrap();
    for part in fs::read(folder.path("disk.raw")).unwrap().chunks(10_000_000) {
        assert!(packer.compress(part, &mut frames, usize::MAX).unwrap());
    }
    fs::write(folder.path("a"), frames).unwrap();
    check(&folder, "a", "", &["zstd"]);
}

#[test]
fn a_disk_of_another_format_comes_out_where_its_tables_allow() {
    let folder = Folder::with_disk();
    folder.sh("echo '{}' > image_metadata.json; cp disk.qcow2 output.QCOW2
        tar -cf a.oci image_metadata.json output.QCOW2; gzip -k disk.qcow2
        qemu-img convert -O vmdk -o subformat=streamOptimized disk.raw vm-disk1.vmdk
        gzip -c vm-disk1.vmdk > v.gz; tar -cf v.tar v.gz");
    check(&folder, "a.oci", "/output.QCOW2", &["tar"]);
    check(&folder, "v.gz", "", &["gzip"]);
    check(&folder, "v.tar", "/v.gz", &["tar", "gzip"]);
    let error = digest(&folder.path("disk.qcow2.gz"), &OpenOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(matches!(error.remedy(), Some(Remedy::Unpack { .. })), "{error}");
}

const DESCRIPTOR: &str = r#"<?xml version="1.0"?><Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"><References><File ovf:href="vm-disk1.vmdk" ovf:id="f1"/><File ovf:href="vm-disk2.img.gz" ovf:id="f2" ovf:compression="gzip"/></References><DiskSection><Info/><Disk ovf:diskId="a" ovf:fileRef="f1"/><Disk ovf:diskId="b" ovf:fileRef="f2"/></DiskSection></Envelope>"#;

#[test]
fn an_ova_lists_its_disks_and_each_can_be_had() {
    let folder = Folder::with_disk();
    fs::write(folder.path("vm.ovf"), DESCRIPTOR).unwrap();
    folder.sh("qemu-img convert -O vmdk -o subformat=streamOptimized disk.raw vm-disk1.vmdk
        head -c 300000 disk.raw | gzip > vm-disk2.img.gz
        for f in vm.ovf vm-disk1.vmdk; do echo \"SHA256($f)= $(sha256sum < $f | cut -d' ' -f1)\"; done > vm.mf
        tar --format=ustar -cf a.ova vm.ovf vm.mf vm-disk1.vmdk vm-disk2.img.gz; xz -k0 a.ova");
    for file in ["a.ova", "a.ova.xz"] {
        let path = folder.path(file);
        let with = |disk| digest(&path, &OpenOptions::new().disk(disk));
        let error = with(Choice::Only).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert_eq!(error.remedy(), Some(&Remedy::ChooseDisk));
        for text in ["1 vm-disk1.vmdk", "2 vm-disk2.img.gz"] {
            assert!(error.to_string().contains(text), "{error}");
        }
        assert_eq!(with(Choice::Number(1)).unwrap().1, SHA256);
        assert_eq!(with(Choice::Number(2)).unwrap().0, 300_000);
        assert_eq!(with(Choice::Number(3)).unwrap_err().kind(), ErrorKind::Misuse);
        let options = OpenOptions::new().disk(Choice::First);
        let info = options.info(&Location::from(path.as_path())).unwrap();
        assert_eq!(info.disks.len(), 2);
        assert_eq!(info.disks[1].name, "vm-disk2.img.gz");
        assert_eq!((info.format, info.virtual_size), ("vmdk", Some(SIZE)));
    }
    // A byte of a disk that the manifest knows.
    let mut bytes = fs::read(folder.path("a.ova")).unwrap();
    bytes[20_000] ^= 1;
    fs::write(folder.path("b.ova"), bytes).unwrap();
    let options = OpenOptions::new().disk(Choice::Number(1));
    let image =
        options.open_image(&Location::from(folder.path("b.ova")), &Control::default()).unwrap();
    let mut problems = Vec::new();
    image.check(&job(), &mut |problem| problems.push(problem.text)).unwrap();
    assert!(
        problems.iter().any(|text| text.contains("'vm-disk1.vmdk' has the sha256")),
        "{problems:?}"
    );
}

/// Converts a file, or what comes through a pipe.
fn converted(folder: &Folder, file: &str, through_pipe: bool) -> Result<Summary> {
    if through_pipe {
        return piped(folder, &fs::read(folder.path(file)).unwrap(), |_| {});
    }
    folder.sh("rm -f target.raw");
    Convert::new(folder.path(file).as_path(), folder.path("target.raw").as_path()).run(&job())
}

#[test]
fn a_conversion_compares_what_it_reads_with_the_manifest() {
    let folder = Folder::new();
    written(&folder, "vm.ova", &[], 2);
    // What is changed is nothing that a conversion needs: a word of the disk's own descriptor, and
    // blanks at the end of the package's.
    folder.sh("tar -xf vm.ova; mkdir disk ovf; cp vm* disk; cp vm* ovf
        sed -i 's/ddb.adapterType/ddb.adaptertype/' disk/vm-disk1.vmdk; cmp -s vm-disk1.vmdk disk/vm-disk1.vmdk && exit 1
        echo ' ' >> ovf/vm.ovf; grep -v vmdk vm.mf > short; sed 's/SHA256/SHA3/' vm.mf > odd
        pack() { tar --format=ustar -cf $1.ova \"${@:2}\"; gzip -kf $1.ova; }
        pack good vm.ovf vm.mf vm-disk1.vmdk; pack none vm.ovf vm-disk1.vmdk
        pack bad-disk -C disk vm.ovf vm.mf vm-disk1.vmdk; pack bad-ovf -C ovf vm.ovf vm.mf vm-disk1.vmdk
        pack last vm.ovf vm-disk1.vmdk vm.mf; pack bad-last -C disk vm.ovf vm-disk1.vmdk vm.mf
        pack bad-first -C disk vm.mf vm.ovf vm-disk1.vmdk; pack bad-late -C disk vm-disk1.vmdk vm.mf vm.ovf
        cp vm.mf right
        : > aa.mf; pack stray vm.ovf aa.mf vm.mf vm-disk1.vmdk; pack bad-stray vm.ovf aa.mf -C disk vm.mf vm-disk1.vmdk
        sed 's/= .*/= 0/' vm.mf > aa.mf; pack wrong-stray vm.ovf aa.mf vm.mf vm-disk1.vmdk
        (cat right; sed -n '/vmdk/s/= .*/= 0/p' right) > vm.mf; pack twice vm.ovf vm.mf vm-disk1.vmdk
        (echo \"SHA1(vm-disk1.vmdk)= $(sha1sum < vm-disk1.vmdk | cut -d' ' -f1)\"; sed '/vmdk/s/= .*/= 0/' right) > vm.mf
        pack two-kinds vm.ovf vm.mf vm-disk1.vmdk; (printf '\\357\\273\\277'; sed 's/SHA256(vm.ovf)= .*/SHA256(vm.ovf)= 0/' right) > vm.mf
        pack bom vm.ovf vm.mf vm-disk1.vmdk; cp right vm.mf
        cp short vm.mf; pack short vm.ovf vm.mf vm-disk1.vmdk; cp odd vm.mf; pack odd vm.ovf vm.mf vm-disk1.vmdk
        grep -v vm.ovf right > vm.mf; pack no-ovf vm.ovf vm.mf vm-disk1.vmdk
        sed '/vm.ovf/s/SHA256/SHA3/' right > vm.mf; pack odd-ovf vm.ovf vm.mf vm-disk1.vmdk");
    for (name, bad_in_file, bad_in_order, note_in_file, note_in_order) in [
        ("good", None, None, None, None),
        ("none", None, None, None, None),
        ("bad-disk", Some("vm-disk1.vmdk"), Some("vm-disk1.vmdk"), None, None),
        ("bad-ovf", Some("vm.ovf"), Some("vm.ovf"), None, None),
        ("last", None, None, None, Some("'vm.mf' is not between")),
        ("bad-last", Some("vm-disk1.vmdk"), None, None, Some("'vm.mf' is not between")),
        ("short", None, None, Some("is not in the manifest"), Some("is not in the manifest")),
        ("odd", None, None, Some("of an unknown kind"), Some("of an unknown kind")),
        ("no-ovf", None, None, Some("'vm.ovf' is not in the"), Some("'vm.ovf' is not in the")),
        ("odd-ovf", None, None, Some("'vm.ovf' has a digest of"), Some("'vm.ovf' has a digest of")),
        ("bad-first", Some("vm-disk1.vmdk"), None, None, Some("'vm.mf' is not between")),
        ("bad-late", Some("vm-disk1.vmdk"), None, None, Some("'vm.mf' is not between")),
        ("stray", None, None, None, None),
        ("wrong-stray", None, None, None, None),
        ("bad-stray", Some("vm-disk1.vmdk"), Some("vm-disk1.vmdk"), None, None),
        ("twice", Some("vm-disk1.vmdk"), Some("vm-disk1.vmdk"), None, None),
        ("two-kinds", Some("vm-disk1.vmdk"), Some("vm-disk1.vmdk"), None, None),
        ("bom", Some("vm.ovf"), Some("vm.ovf"), None, None),
    ] {
        let ova = format!("{name}.ova");
        for (file, through_pipe, bad, note) in [
            (ova.clone(), false, bad_in_file, note_in_file),
            (ova.clone(), true, bad_in_order, note_in_order),
            (format!("{ova}.gz"), false, bad_in_order, note_in_order),
        ] {
            let what = format!("{file}, through a pipe: {through_pipe}");
            match (converted(&folder, &file, through_pipe), bad) {
                (Ok(summary), None) => {
                    let noted = summary.warnings.iter().find(|text| text.text.contains("manifest"));
                    assert_eq!(noted.is_some(), note.is_some(), "{what}: {noted:?}");
                    assert!(
                        noted.is_none_or(|text| text.text.contains(note.unwrap())),
                        "{noted:?}"
                    );
                }
                (Err(error), Some(bad)) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
                    let text = format!("'{bad}' has the sha256 ");
                    assert!(error.to_string().contains(&text), "{what}: {error}");
                    assert!(!folder.path("target.raw").exists(), "{what}");
                }
                (found, _) => panic!("{what}: {:?}", found.map(|summary| summary.warnings)),
            }
        }
    }
}

#[test]
fn a_digest_is_compared_however_its_kind_is_written() {
    let folder = Folder::new();
    written(&folder, "vm.ova", &[], 2);
    folder.sh("tar -xf vm.ova; cp vm.mf right; mkdir disk; cp vm.ovf disk
        sed 's/ddb.adapterType/ddb.adaptertype/' vm-disk1.vmdk > disk/vm-disk1.vmdk");
    for way in [
        "openssl dgst -sha256 vm.ovf vm-disk1.vmdk",
        "openssl dgst -sha512 vm.ovf vm-disk1.vmdk",
        "openssl dgst -sha1 vm.ovf vm-disk1.vmdk",
        "openssl dgst -sha256 -r vm.ovf vm-disk1.vmdk",
        "sha256sum --tag vm.ovf vm-disk1.vmdk",
        "sha256sum vm.ovf vm-disk1.vmdk",
        "sha1sum -b vm.ovf vm-disk1.vmdk",
        "sed 's/SHA256/SHA-256/' right",
        "sed 's/SHA256(/sha256 ( /; s/)=/ )  =/' right",
        "sed 's/= .*/\\U&/; s/SHA/sha/' right",
    ] {
        folder.sh(&format!(
            "{way} > vm.mf; grep -q vm-disk1.vmdk vm.mf; cp vm.mf disk
            tar --format=ustar -cf good.ova vm.ovf vm.mf vm-disk1.vmdk; gzip -kf good.ova
            tar --format=ustar -cf bad.ova -C disk vm.ovf vm.mf vm-disk1.vmdk; gzip -kf bad.ova"
        ));
        for (end, through_pipe) in [("", false), ("", true), (".gz", false)] {
            let summary = converted(&folder, &format!("good.ova{end}"), through_pipe).unwrap();
            assert_eq!(summary.warnings, Vec::<Note>::new(), "{way}");
            let error = converted(&folder, &format!("bad.ova{end}"), through_pipe).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{way}: {error}");
            assert!(error.to_string().contains("'vm-disk1.vmdk' has the sha"), "{way}: {error}");
            assert!(!folder.path("target.raw").exists(), "{way}");
        }
    }
}

#[test]
fn several_disks_are_never_mixed_up() {
    let folder = Folder::new();
    folder.sh("head -c 2000000 /dev/zero > a.img; head -c 1500000 /dev/zero | tr '\\0' x > b.img
        tar -cf t.tar a.img b.img; gzip -k t.tar");
    for file in ["t.tar", "t.tar.gz"] {
        let path = folder.path(file);
        let target = folder.path("target.raw");
        let mut convert = Convert::new(path.as_path(), target.as_path());
        let error = convert.run(&job()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
        assert!(error.to_string().contains("1 a.img (2000000 bytes), 2 b.img"), "{error}");
        assert!(!target.exists());
        convert.open.disk = Choice::Number(2);
        convert.run(&job()).unwrap();
        assert!(fs::read(&target).unwrap() == vec![b'x'; 1_500_000], "{file}");
        fs::remove_file(target).unwrap();
    }
}

/// What the list of disks says, and whether it is all.
fn listed(info: &Info) -> (Vec<&str>, bool) {
    (info.disks.iter().map(|disk| disk.name.as_str()).collect(), info.disks_complete)
}

#[test]
fn in_a_compressed_archive_disks_are_known_as_far_as_it_was_read() {
    let folder = Folder::new();
    folder.sh("for i in {01..20}; do head -c 1100000 /dev/zero > $i.img; done; echo text > text
        tar -cf t.tar text *.img; tar -cf one.tar text 01.img; gzip -k t.tar; gzip -k one.tar; gzip -k 01.img
        head -c 50000 /dev/urandom > x; tar -cf cut.tar 01.img 02.img x; gzip -c cut.tar | head -c 20000 > cut.gz");
    let said = |file: &str, disk, all| {
        let options = OpenOptions::new().disk(disk);
        let location = Location::from(folder.path(file));
        if all { options.info_with_all_disks(&location) } else { options.info(&location) }
    };
    for (file, disk, first, total) in [
        ("t.tar", Choice::First, 20, 20),
        ("t.tar.gz", Choice::First, 1, 20),
        ("t.tar.gz", Choice::Number(3), 3, 20),
        ("one.tar", Choice::First, 0, 0),
        ("one.tar.gz", Choice::First, 1, 0),
        ("01.img.gz", Choice::First, 0, 0),
    ] {
        for (all, count) in [(false, first), (true, total)] {
            let info = said(file, disk, all).unwrap();
            let names: Vec<String> = (1..=count).map(|number| format!("{number:02}.img")).collect();
            let are_all = all || first == total;
            assert_eq!(
                listed(&info),
                (names.iter().map(String::as_str).collect(), are_all),
                "{file}"
            );
        }
    }
    // The same where the disk cannot be read in order: nothing is unpacked to disk for it.
    folder.sh("qemu-img create -q -f qcow2 a.qcow2 1M; tar -czf q.tar.gz a.qcow2 01.img 02.img");
    for (all, names) in [(false, vec!["a.qcow2"]), (true, vec!["a.qcow2", "01.img", "02.img"])] {
        let info = said("q.tar.gz", Choice::First, all).unwrap();
        assert_eq!((listed(&info), info.scratch), ((names, all), None));
    }
    // An archive that breaks off further on is found out when it is read to its end.
    assert_eq!(listed(&said("cut.gz", Choice::First, false).unwrap()), (vec!["01.img"], false));
    assert_eq!(said("cut.gz", Choice::First, true).unwrap_err().kind(), ErrorKind::Damaged);
    // A conversion lists all, before the target has its name.
    for (file, through_pipe) in [("t.tar", false), ("t.tar", true), ("t.tar.gz", false)] {
        let error = converted(&folder, file, through_pipe).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
        let text = "1 01.img (1100000 bytes), 2 02.img (1100000 bytes), 3 03.img (1100000 bytes)";
        for text in [text, "16 16.img (1100000 bytes) and 4 more"] {
            assert!(error.to_string().contains(text), "{file}: {error}");
        }
        assert!(!folder.path("target.raw").exists());
    }
    let summary = converted(&folder, "one.tar.gz", false).unwrap();
    assert_eq!(listed(&summary.source), (vec![], true));
}

/// As VirtualBox 7.2 writes its OVAs.
#[test]
fn an_archive_without_an_end_mark_is_read_and_told_where_nothing_says_that_it_is_whole() {
    let folder = Folder::new();
    written(&folder, "vm.ova", &[], 2);
    folder.sh("tar -xf vm.ova; head -c 1200000 /dev/zero > disk.raw; echo text > notes.txt
        blocks() { tar --format=ustar -b1 -cf whole \"${@:2}\"; head -c -1024 whole > $1; gzip -k $1; }
        blocks vbox.ova vm.ovf vm-disk1.vmdk vm.mf; blocks plain.tar disk.raw notes.txt
        blocks lacks.ova vm.ovf vm-disk1.vmdk; blocks none.ova vm.ovf
        head -c -300 vbox.ova > cut.ova; gzip -k cut.ova
        sed -i 's|</References>|<File ovf:id=\"f9\" ovf:href=\"cd.iso\"/></References>|' vm.ovf
        blocks iso.ova vm.ovf vm-disk1.vmdk");
    let no_end = "without an end mark: nothing tells whether members are missing";
    let lacks = "'vm.ovf' lists the file 'cd.iso', which is not in the archive";
    for (file, warns) in [
        ("vbox.ova", None),
        ("lacks.ova", None),
        ("plain.tar", Some(no_end)),
        ("iso.ova", Some(lacks)),
    ] {
        let packed = format!("{file}.gz");
        for (name, through_pipe) in [(file, false), (file, true), (packed.as_str(), false)] {
            let summary = converted(&folder, name, through_pipe).unwrap();
            let told = |note: &Note| warns.is_some_and(|warns| note.text.contains(warns));
            let told = summary.warnings.iter().any(told);
            assert_eq!(told, warns.is_some(), "{name}: {:?}", summary.warnings);
            assert!(told || !format!("{:?}", summary.warnings).contains("end mark"), "{name}");
        }
        let said = info(&folder.path(file)).warnings;
        let said: String = said.iter().map(ToString::to_string).collect();
        assert_eq!(said.contains(warns.unwrap_or(no_end)), warns.is_some(), "{file}: {said}");
        for name in [file, &packed] {
            let mut problems = Vec::new();
            let image = image(&folder.path(name));
            image.check(&job(), &mut |problem| problems.push(problem.text)).unwrap();
            let said = problems.concat();
            assert_eq!(said.contains(warns.unwrap_or(no_end)), warns.is_some(), "{name}: {said}");
        }
    }
    for file in ["none.ova", "cut.ova"] {
        let packed = format!("{file}.gz");
        for (name, through_pipe) in [(file, false), (file, true), (packed.as_str(), false)] {
            let error = converted(&folder, name, through_pipe).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{name}: {error}");
            assert!(!folder.path("target.raw").exists(), "{name}");
        }
    }
}

#[test]
fn a_conversion_tells_what_contradicts_the_descriptor() {
    let folder = Folder::new();
    written(&folder, "vm.ova", &[], 2);
    folder.sh("tar -xf vm.ova; rm vm.mf; mkdir odd
        pack() { tar --format=ustar -cf $1.ova \"${@:2}\"; gzip -k $1.ova; }
        pack good vm.ovf vm-disk1.vmdk; sed -E 's/ovf:size=\"[0-9]+/ovf:size=\"7/' vm.ovf > odd/vm.ovf
        pack size -C odd vm.ovf -C .. vm-disk1.vmdk; pack late vm-disk1.vmdk -C odd vm.ovf
        sed -E 's/ovf:capacity=\"[0-9]+/ovf:capacity=\"9/' vm.ovf > odd/vm.ovf
        pack capacity -C odd vm.ovf -C .. vm-disk1.vmdk; pack last vm-disk1.vmdk -C odd vm.ovf");
    let size = "'vm.ovf' has 'vm-disk1.vmdk' with 7 bytes; it has ";
    let capacity = "'vm.ovf' has the disk in 'vm-disk1.vmdk' with 9 bytes; it has 67108864";
    for (name, text) in
        [("good", ""), ("size", size), ("late", size), ("capacity", capacity), ("last", capacity)]
    {
        let (file, packed) = (format!("{name}.ova"), format!("{name}.ova.gz"));
        for (file, through_pipe) in [(&file, false), (&file, true), (&packed, false)] {
            let told = converted(&folder, file, through_pipe).unwrap().warnings;
            let count = if text.is_empty() { 0 } else { 1 };
            assert_eq!(told.len(), count, "{file}, through a pipe: {through_pipe}: {told:?}");
            assert!(told.iter().all(|told| told.text.contains(text)), "{told:?}");
        }
    }
}

#[test]
fn wrappers_within_wrappers_are_bounded() {
    let folder = Folder::new();
    folder.sh("head -c 70000 /dev/urandom > disk.raw; cp disk.raw a
        for i in 1 2 3 4; do gzip -c a > b; mv b a; done; gzip -c a > five
        tar -cf t disk.raw; for i in 1 2 3; do mv t u; tar -cf t u; done; tar -cf tt t");
    let sum = fs::read(folder.path("disk.raw")).unwrap();
    for (file, works) in [("a", true), ("five", false), ("t", true), ("tt", false)] {
        match digest(&folder.path(file), &OpenOptions::default()) {
            Ok((size, _)) => assert!(works && size == sum.len() as u64, "{file}"),
            Err(error) => assert!(!works && error.kind() == ErrorKind::Limit, "{file}: {error}"),
        }
    }
}

#[test]
fn what_unpacks_without_end_ends() {
    let folder = Folder::new();
    folder.sh("head -c 50000000 /dev/zero | bzip2 -9 > a; tar -cf t.tar a
        truncate -s 200M big; tar --format=posix -Scf s.tar big; gzip s.tar");
    let mut limits = Limits::default();
    (limits.unpacked, limits.virtual_size) = (10 << 20, 1 << 27);
    for file in ["a", "t.tar", "s.tar.gz"] {
        let options = OpenOptions::new().limits(limits.clone());
        let path = folder.path(file);
        let error = digest(&path, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{file}: {error}");
        assert!(
            options.open_image(&Location::from(path.as_path()), &Control::default()).is_err(),
            "{file}"
        );
        assert!(digest(&path, &OpenOptions::default()).is_ok(), "{file}");
    }
}

#[test]
fn a_wrapped_file_cut_anywhere_is_an_error() {
    let folder = Folder::new();
    folder.sh(
        "(head -c 5000 /dev/zero; head -c 3000 /dev/urandom; head -c 9000 /dev/zero) > disk.raw
        tar --format=oldgnu -Scf t.tar disk.raw; tar -cf n.tar t.tar
        gzip -k t.tar; xz -k t.tar; bzip2 -k t.tar; gzip -k disk.raw; gzip -c t.tar.gz > tt.gz",
    );
    for file in ["t.tar.gz", "t.tar.xz", "t.tar.bz2", "disk.raw.gz", "tt.gz", "n.tar"] {
        let bytes = fs::read(folder.path(file)).unwrap();
        let path = folder.path("cut");
        let content = digest(&folder.path(file), &OpenOptions::default()).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        // An archive cut in its first header is none.
        let first = if file == "n.tar" { 512 } else { 20 };
        for cut in (first..end).step_by(37).chain([end - 1]) {
            fs::write(&path, &bytes[..cut]).unwrap();
            let cut_short = digest(&path, &OpenOptions::default());
            assert!(cut_short.is_err() || cut_short.unwrap() == content, "{file} cut at {cut}");
            // Nor is it found whole when it is looked at.
            let image = OpenOptions::default()
                .open_image(&Location::from(path.as_path()), &Control::default());
            let Ok(image) = image else { continue };
            let read = Opened::from(image).digest(&[Algorithm::Sha256], &job());
            assert!(read.is_err() || read.unwrap().1[0].1 == content.1, "{file} cut at {cut}");
        }
        if file != "n.tar" {
            fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
            assert!(digest(&path, &OpenOptions::default()).is_err(), "{file}");
            fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
            assert!(digest(&path, &OpenOptions::default()).is_err(), "{file}");
        }
    }
}

#[test]
fn raw_means_as_it_is() {
    let folder = Folder::new();
    folder.sh("head -c 100000 /dev/urandom | gzip > a.gz");
    let path = folder.path("a.gz");
    let options = OpenOptions::new().format(Format::RAW);
    assert_eq!(digest(&path, &options).unwrap().0, path.metadata().unwrap().len());
    let image = options.open_image(&Location::from(path.as_path()), &Control::default()).unwrap();
    assert!(image.warnings()[0].text.contains("gzip"), "{:?}", image.warnings());
}

/// The bytes that `-O gcp` or `-O ova` make of the real disk.
fn written(folder: &Folder, name: &str, options: &[(&str, &str)], threads: usize) -> Vec<u8> {
    let target = folder.path(name);
    let mut convert = Convert::new(real_disk().as_path(), target.as_path());
    convert.options =
        options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    convert.identity = Identity::default().uuid(Uuid::from_u128(7)).time(1_700_000_000);
    convert.verify = Verify::ReadBack;
    convert.replace = diskferry::convert::Replace::Allowed;
    convert.run(&Job::new(threads).unwrap()).unwrap();
    fs::read(target).unwrap()
}

#[test]
fn what_is_written_for_google_is_one_gzip_member_with_one_old_tar() {
    let folder = Folder::new();
    let bytes = written(&folder, "a.tar.gz", &[], 2);
    for threads in [1, 7] {
        assert!(written(&folder, "a.tar.gz", &[], threads) == bytes, "{threads} threads");
    }
    folder.sh("gzip -t a.tar.gz; tar -tvzf a.tar.gz > list; tar -xOzf a.tar.gz | head -c 67108864 | sha256sum > sum");
    let list = fs::read_to_string(folder.path("list")).unwrap();
    assert_eq!(list.lines().count(), 1, "{list}");
    assert!(list.starts_with("-rw-r--r-- root/root 1073741824 2023-11-1"), "{list}");
    assert!(list.trim_end().ends_with(" disk.raw"), "{list}");
    assert!(fs::read_to_string(folder.path("sum")).unwrap().starts_with(SHA256));
    folder.python(
        "import gzip, tarfile, zlib\n\
         d = zlib.decompressobj(31)\n\
         n = len(d.decompress(open('a.tar.gz', 'rb').read()))\n\
         assert d.eof and not d.unused_data and n % 10240 == 0, n\n\
         t = tarfile.open('a.tar.gz')\n\
         m = t.getmembers()\n\
         assert [(x.name, x.size, x.mode, x.uid, x.uname) for x in m] == [('disk.raw', 1 << 30, 0o644, 0, 'root')]",
    );
    assert_eq!(info(&folder.path("a.tar.gz")).wrapping, ["gzip", "tar"]);
}

#[test]
fn sizes_past_8_gib_are_binary_for_google() {
    let folder = Folder::new();
    folder.sh("truncate -s 9000M a.raw; printf end >> a.raw");
    let (source, target) = (folder.path("a.raw"), folder.path("a.tgz"));
    let convert = Convert::new(source.as_path(), target.as_path());
    let summary = convert.run(&job()).unwrap();
    assert_eq!(summary.target.virtual_size, Some(9 << 30));
    assert!(
        summary.warnings.iter().any(|text| text.text.contains("whole GiB")),
        "{:?}",
        summary.warnings
    );
    folder.python(
        "import tarfile, zlib\n\
         head = zlib.decompressobj(31).decompress(open('a.tgz', 'rb').read(4096))[:512]\n\
         assert tarfile.TarInfo.frombuf(head, 'ascii', 'strict').size == 9 << 30\n\
         assert head[257:265] == b'ustar  \\0' and head[124] == 0x80",
    );
}

/// Asks a judge that knows the specification and nothing of us about a descriptor of the real disk.
fn judge_ovf(folder: &Folder, name: &str, good: bool) {
    let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ovf.py");
    let output = command("python3")
        .arg(judge)
        .arg(folder.0.path())
        .args([name, &SIZE.to_string()])
        .run()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(good || said.contains("AssertionError"), "{said}");
    assert_eq!(output.status.success(), good, "{said}");
}

#[test]
fn an_ova_that_is_written_is_what_its_readers_want() {
    let folder = Folder::new();
    let bytes = written(&folder, "my vm.ova", &[], 2);
    for threads in [1, 7] {
        assert!(written(&folder, "my vm.ova", &[], threads) == bytes, "{threads} threads");
    }
    folder.sh("tar -tf 'my vm.ova' > list; tar -xf 'my vm.ova'; sed 's/(/ (/' my_vm.mf | tr -d '\\r' > lines
        grep -qx 'SHA256(my_vm.ovf)= [0-9a-f]\\{64\\}' my_vm.mf
        sed -E 's/SHA256\\((.*)\\)= (.*)/\\2  \\1/' my_vm.mf | sha256sum -c --strict --quiet
        qemu-img check -q my_vm-disk1.vmdk");
    assert_eq!(
        fs::read_to_string(folder.path("list")).unwrap(),
        "my_vm.ovf\nmy_vm.mf\nmy_vm-disk1.vmdk\n"
    );
    assert!(qemu::compare(&folder.path("my_vm-disk1.vmdk"), "vmdk", &real_disk(), "qcow2"));
    judge_ovf(&folder, "my_vm.ovf", true);
    // The judge can object.
    for (from, to) in [
        ("<Info>Virtual disks</Info>", ""),
        (" ovf:diskId=\"vmdisk1\"", ""),
        ("ovf:capacityAllocationUnits=\"byte\"", "ovf:capacityAllocationUnits=\"MB\""),
        ("ovf:capacity=\"67108864\"", "ovf:capacity=\"67108865\""),
        ("ovf:size=\"", "ovf:size=\"1"),
        ("ovf:fileRef=\"file1\"", "ovf:fileRef=\"file2\""),
        ("<rasd:Parent>3<", "<rasd:Parent>4<"),
        ("<rasd:ResourceType>17<", "<rasd:ResourceType>18<"),
        ("<rasd:Connection>VM Network<", "<rasd:Connection>another<"),
        ("<rasd:ElementName>Hard disk 1</rasd:ElementName>", ""),
        ("<Name>", "<Product/><Name>"),
        ("#streamOptimized", "#"),
    ] {
        let text = fs::read_to_string(folder.path("my_vm.ovf")).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(folder.path("odd.ovf"), text.replacen(from, to, 1)).unwrap();
        judge_ovf(&folder, "odd.ovf", false);
    }
    let image = image(&folder.path("my vm.ova"));
    let info = image.info();
    assert_eq!((info.wrapping, info.format), (vec!["ova"], "vmdk"));
    image.check(&job(), &mut |problem| panic!("{problem:?}")).unwrap();
}

#[test]
fn an_ova_takes_options() {
    let folder = Folder::new();
    let options = [
        ("adapter_type", "sata"),
        ("hwversion", "19"),
        ("cpus", "4"),
        ("memory", "8G"),
        ("os", "windows"),
        ("firmware", "efi"),
        ("name", "a <b> & c"),
        ("manifest", "sha1"),
    ];
    written(&folder, "a.ova", &options, 2);
    folder.sh("tar -xf a.ova; grep -q '^SHA1(a.ovf)= [0-9a-f]\\{40\\}$' a.mf
        for t in AHCI vmx-19 'VirtualQuantity>4<' 'VirtualQuantity>8192<' windows 'key=\"firmware\" vmw:value=\"efi\"' 'a &lt;b&gt; &amp; c'
        do grep -q \"$t\" a.ovf; done");
    judge_ovf(&folder, "a.ovf", true);
    for (key, value) in [
        ("adapter_type", "x"),
        ("hwversion", "3"),
        ("cpus", "0"),
        ("memory", "5"),
        ("os", "dos"),
        ("firmware", "x"),
        ("name", ""),
        ("manifest", "md5"),
    ] {
        let target = folder.path("b.ova");
        let mut convert = Convert::new(real_disk().as_path(), target.as_path());
        convert.options = vec![(key.into(), value.into())];
        assert_eq!(convert.run(&job()).unwrap_err().kind(), ErrorKind::Misuse, "{key}={value}");
    }
}
