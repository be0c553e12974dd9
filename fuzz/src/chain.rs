//! What is done with an input for backing chains: a folder of images that name one another, and what they should not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use diskferry::place::Policy;
use diskferry::{Control, ErrorKind, Location, OpenOptions};
use diskferry_testkit::child::{Bounded, command};
use diskferry_testkit::fuzz::Choices;
use tempfile::TempDir;

use build::{Block, Build, mixed_endian};
use fixture::{DIFFERENCING, DYNAMIC, Fixture};

#[path = "../../crates/vdi/tests/build/mod.rs"]
mod build;
#[path = "../../crates/vhd/tests/images/fixture.rs"]
mod fixture;

/// The input makes a folder of images, and says what they may refer to. The first of them reads as the chain that a
/// plain walk along the names finds; where that finds none, it is refused. Nothing is read from outside that the
/// policy does not allow.
pub fn chain(input: &[u8]) {
    let mut choices = Choices::new(input);
    let place =
        Place::new(choices.pick(&[Allow::Nothing, Allow::Nothing, Allow::Outside, Allow::Folder]));
    let count = 1 + choices.byte() % 5;
    let kinds: Vec<Kind> = (0..count).map(|_| choices.pick(&Kind::ALL)).collect();
    let layers: Vec<Layer> =
        (0..count).map(|index| Layer::choose(index, &kinds, &mut choices)).collect();
    for layer in &layers {
        fs::write(place.folder.join(layer.name()), layer.bytes()).expect("room for a small file");
    }
    for (link, to) in
        [("in", place.folder.join(layers[0].name())), ("out", place.outside.join("secret"))]
    {
        symlink(to, place.folder.join(link)).expect("a link");
    }
    let expected = Walk { place: &place, layers: &layers, seen: Vec::new() }.image(0, None);
    // What is missing in a file matters where it shows.
    let expected: Option<Vec<u8>> = expected.and_then(|disk| disk.into_iter().collect());
    let options = OpenOptions::new().policy(place.policy());
    // By the descriptor of a package, the same is found.
    let first = layers[0].name();
    let path = match choices.byte() % 4 {
        1 => place.package_of(&first, false),
        2 => place.package_of(&first, true),
        _ => place.folder.join(&first),
    };
    let opened = options.open_image(&Location::from(path), &Control::default()).and_then(|image| {
        let mut bytes = vec![0xa5; image.disk().size() as usize];
        image.disk().cursor()?.read(0, &mut bytes)?;
        Ok((bytes, image.layers().len()))
    });
    match (opened, expected) {
        (Ok((bytes, _)), Some(expected)) => assert!(bytes == expected, "another disk: {layers:?}"),
        (Ok((_, count)), None) => panic!("a chain of {count} that should be refused: {layers:?}"),
        (Err(error), Some(_)) => panic!("{error}: {layers:?}"),
        (Err(error), None) => {
            let fair =
                [ErrorKind::Damaged, ErrorKind::Refused, ErrorKind::Unsupported, ErrorKind::Io];
            assert!(fair.contains(&error.kind()), "{:?}: {error}", error.kind());
        }
    }
}

/// Whom the images may refer to, besides those beside them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allow {
    Nothing,
    Outside,
    Folder,
}

/// The folder of the images, and one beside it.
struct Place {
    _root: TempDir,
    folder: PathBuf,
    outside: PathBuf,
    allow: Allow,
}

impl Place {
    fn new(allow: Allow) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let real = root.path().canonicalize().expect("a folder");
        let (folder, outside) = (real.join("images"), real.join("outside"));
        for path in [&folder, &outside, &folder.join("sub")] {
            fs::create_dir(path).expect("a folder");
        }
        fs::write(outside.join("secret"), vec![SECRET; SIZE]).expect("room for a small file");
        // Whoever opens this waits for ever.
        fs::hard_link(PIPE.path().join("pipe"), folder.join("pipe")).expect("a pipe");
        Self { _root: root, folder, outside, allow }
    }

    /// Writes a descriptor, in one or another encoding, that has the image of that name as its disk.
    fn package_of(&self, image: &str, is_utf16: bool) -> PathBuf {
        let text = format!(
            "<Envelope><File id='1' href='{image}'/><File id='2' href='../outside/secret'/><File id='3' href='pipe'/>\
             <Disk fileRef='1'/></Envelope>"
        );
        let utf16 = "\u{feff}".encode_utf16().chain(text.encode_utf16());
        let path = self.folder.join("vm.ovf");
        let bytes = match is_utf16 {
            true => utf16.flat_map(u16::to_le_bytes).collect(),
            false => text.clone().into_bytes(),
        };
        fs::write(&path, bytes).expect("room for a small file");
        path
    }

    fn policy(&self) -> Policy {
        let allow = match self.allow {
            Allow::Nothing => Vec::new(),
            Allow::Outside => vec![self.outside.clone()],
            Allow::Folder => vec![self.folder.clone()],
        };
        Policy::allowing(allow)
    }

    /// The file that an image may have by this name.
    fn file(&self, name: &str) -> Option<PathBuf> {
        if name.is_empty() || name.contains(':') {
            return None;
        }
        let real = self.folder.join(name).canonicalize().ok().filter(|real| real.is_file())?;
        let beside = stays(name) && real.starts_with(&self.folder);
        let allowed = self.policy().allow.iter().any(|folder| real.starts_with(folder));
        (beside || allowed).then_some(real)
    }
}

/// Whether a path comes to a file of the folder that it begins in, without going above that. No folder of these is a
/// link.
fn stays(name: &str) -> bool {
    let mut depth = Some(0_usize);
    for part in name.split('/') {
        depth = match part {
            "." => depth,
            ".." => depth.and_then(|depth| depth.checked_sub(1)),
            _ => depth.map(|depth| depth + 1),
        };
    }
    depth == Some(1)
}

/// What a qcow2 image means by a name, and the format that this has for it.
fn spelled(name: &str) -> (&str, Option<&str>) {
    match name {
        PLAIN_JSON => ("1.raw", Some("raw")),
        _ => (name.strip_prefix("file:").unwrap_or(name), None),
    }
}

/// A pipe, made once: that takes a process.
static PIPE: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let made = command("mkfifo").arg(folder.path().join("pipe")).run_aloud();
    assert!(made.expect("mkfifo").success());
    folder
});

/// What the file outside is full of.
const SECRET: u8 = 0xee;

/// Bytes of a disk, and of the blocks of it that a layer has or has not.
const SIZE: usize = 64 << 10;
const BLOCK: usize = 4096;

/// An image of the folder.
#[derive(Debug)]
struct Layer {
    index: u8,
    kind: Kind,
    /// A bit for each block that it has.
    stored: u16,
    /// Its parent's name; a VDI has only a number.
    parent: Option<String>,
    /// The parent's number, where the format has ids; sometimes it is another's.
    id: Option<u8>,
    /// The parent's format, where the image says it.
    stated: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Raw,
    Qcow2,
    Vhd,
    Vdi,
    /// A descriptor of an extent that is the whole of a file.
    Vmdk,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Qcow2, Self::Qcow2, Self::Vhd, Self::Vdi, Self::Vmdk, Self::Raw];

    /// The image's file of this number.
    fn file(self, index: u8) -> String {
        let extension = match self {
            Self::Vhd => "vhd",
            other => other.word(),
        };
        format!("{index}.{extension}")
    }

    /// What an image says of a parent of this format.
    fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "vpc",
            Self::Vdi => "vdi",
            Self::Vmdk => "vmdk",
        }
    }
}

/// Names that an image may have for what is none of the images, or for one in other words.
const NAMES: [&str; 15] = [
    "in",
    "out",
    "sub",
    "pipe",
    "missing",
    "../outside/secret",
    "sub/../1.qcow2",
    "./1.raw",
    "1.raw/",
    "json:{\"file\":\"1.raw\"}",
    "nbd:1.raw",
    "",
    PLAIN_JSON,
    "file:1.qcow2",
    "file:../outside/secret",
];

/// The name of a file in more words.
const PLAIN_JSON: &str =
    "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"1.raw\"}}";

impl Layer {
    fn choose(index: u8, kinds: &[Kind], choices: &mut Choices<'_>) -> Self {
        let stored = choices.short();
        let name = choices.byte();
        let count = kinds.len() as u8;
        // Most often the next one, so that chains are long.
        let meant = if name < 0x80 { (index + 1) % count } else { name % count };
        let its = kinds[usize::from(meant)];
        let parent = match name {
            0..0x80 if meant == 0 => None,
            0..0xa0 => Some(its.file(meant)),
            0xa0..0xe8 => Some(NAMES[usize::from(name) % NAMES.len()].to_owned()),
            _ => None,
        };
        let id = match choices.byte() {
            0..0xa0 => parent.as_ref().map(|_| meant),
            other @ 0xa0..0xc8 => Some(other % 8),
            _ => None,
        };
        let stated = match choices.byte() {
            0..0x60 => None,
            0x60..0xd0 => Some(its.word()),
            other => Some(["raw", "qcow2", "file", "qed"][usize::from(other) % 4]),
        };
        Self { index, kind: kinds[usize::from(index)], stored, parent, id, stated }
    }

    fn name(&self) -> String {
        self.kind.file(self.index)
    }

    /// What its blocks are full of.
    fn fill(&self) -> u8 {
        0x10 + self.index
    }

    fn blocks(&self) -> impl Iterator<Item = usize> + '_ {
        (0..SIZE / BLOCK).filter(|block| self.stored >> block & 1 == 1)
    }

    fn bytes(&self) -> Vec<u8> {
        match self.kind {
            Kind::Raw => vec![self.fill(); SIZE],
            Kind::Qcow2 => self.qcow2(),
            Kind::Vhd => self.vhd(),
            Kind::Vdi => self.vdi(),
            Kind::Vmdk => {
                let name = self.parent.as_deref().unwrap_or_default();
                let sectors = SIZE / 512;
                format!(
                    "# Disk DescriptorFile\nversion=1\nCID=00000001\nparentCID=ffffffff\n\
                     createType=\"monolithicFlat\"\nRW {sectors} FLAT \"{name}\" 0\n"
                )
                .into_bytes()
            }
        }
    }

    /// Clusters of 4 KiB: the header and the names, the L1 table, the L2 table, what counts references, the data.
    fn qcow2(&self) -> Vec<u8> {
        let mut image = vec![0; 5 * BLOCK];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"QFI\xfb\0\0\0\x03");
        put(20, &12_u32.to_be_bytes());
        put(24, &(SIZE as u64).to_be_bytes());
        put(36, &1_u32.to_be_bytes());
        for (field, cluster) in [(40, 1_u64), (48, 3)] {
            put(field, &(cluster << 12).to_be_bytes());
        }
        put(56, &1_u32.to_be_bytes());
        put(96, &4_u32.to_be_bytes());
        put(100, &104_u32.to_be_bytes());
        if let Some(format) = self.stated.filter(|_| self.parent.is_some()) {
            put(104, &0xe279_2aca_u32.to_be_bytes());
            put(108, &(format.len() as u32).to_be_bytes());
            put(112, format.as_bytes());
        }
        if let Some(name) = &self.parent {
            put(8, &1024_u64.to_be_bytes());
            put(16, &(name.len() as u32).to_be_bytes());
            put(1024, name.as_bytes());
        }
        put(BLOCK, &(1 << 63 | 2_u64 << 12).to_be_bytes());
        for (index, block) in self.blocks().enumerate() {
            put(2 * BLOCK + 8 * block, &(1 << 63 | (5 + index as u64) << 12).to_be_bytes());
        }
        put(3 * BLOCK, &(4_u64 << 12).to_be_bytes());
        let stored = self.blocks().count();
        for cluster in 0..5 + stored {
            put(4 * BLOCK + 2 * cluster, &1_u16.to_be_bytes());
        }
        image.resize((5 + stored) * BLOCK, self.fill());
        image
    }

    fn vhd(&self) -> Vec<u8> {
        let name: Vec<u8> = self
            .parent
            .as_deref()
            .unwrap_or_default()
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        Fixture {
            disk_type: if self.parent.is_some() { DIFFERENCING } else { DYNAMIC },
            size: SIZE as u64,
            uuid: id(self.index),
            parent_uuid: self.id.filter(|_| self.parent.is_some()).map_or([0; 16], id),
            parent_name: name,
            blocks: self
                .blocks()
                .map(|block| (block as u32, vec![0xff], vec![self.fill(); BLOCK]))
                .collect(),
            ..Fixture::default()
        }
        .build()
    }

    fn vdi(&self) -> Vec<u8> {
        let block =
            |stored| if stored { Block::Stored(vec![self.fill(); BLOCK]) } else { Block::Free };
        let image = Build {
            version: 0x0001_0001,
            header_size: 0x190,
            image_type: if self.id.is_some() { 4 } else { 1 },
            size: SIZE as u64,
            block_size: BLOCK as u32,
            block_extra: 0,
            map_offset: 0x200,
            gap: 0,
            parent: self.id.map_or([0; 16], id),
            parent_modification: [0; 16],
            blocks: (0..SIZE / BLOCK).map(|at| block(self.stored >> at & 1 == 1)).collect(),
        };
        let mut bytes = image.bytes();
        bytes[0x188..0x198].copy_from_slice(&mixed_endian(id(self.index)));
        bytes
    }
}

fn id(index: u8) -> [u8; 16] {
    [0x40 + index; 16]
}

/// A plain walk along the names.
struct Walk<'a> {
    place: &'a Place,
    layers: &'a [Layer],
    /// Images of the chain so far.
    seen: Vec<PathBuf>,
}

impl Walk<'_> {
    /// The disk that an image of the folder is, with those under it; where bytes are missing in a file, `None`.
    fn image(mut self, index: usize, stated: Option<&str>) -> Option<Vec<Option<u8>>> {
        let layer = &self.layers[index];
        self.seen.push(self.place.folder.join(layer.name()));
        if stated == Some("raw") {
            return Some(known(layer.bytes()));
        }
        if stated.is_some_and(|stated| stated != layer.kind.word()) {
            return None;
        }
        let mut disk = match layer.kind {
            Kind::Raw => return Some(known(layer.bytes())),
            Kind::Vmdk => {
                let file = self.place.file(layer.parent.as_deref()?)?;
                let mut bytes = known(fs::read(file).ok()?);
                bytes.resize(SIZE, None);
                return Some(bytes);
            }
            Kind::Vdi => match layer.id {
                None => vec![Some(0); SIZE],
                Some(id) => self.parent(&self.by_id(Kind::Vdi, id)?, Some("vdi"), None)?,
            },
            Kind::Qcow2 => match layer.parent.as_deref() {
                // A name of no bytes is none.
                None | Some("") => vec![Some(0); SIZE],
                Some(name) => {
                    let stated =
                        layer.stated.map(|stated| if stated == "file" { "raw" } else { stated });
                    let (name, driver) = spelled(name);
                    self.parent(&self.place.file(name)?, stated.or(driver), None)?
                }
            },
            Kind::Vhd => match layer.parent.as_deref() {
                None => vec![Some(0); SIZE],
                Some(name) => {
                    // Without the folders that it was once in.
                    let name = name.rsplit('/').next().unwrap_or_default();
                    let file = match (name, layer.id) {
                        ("" | "." | "..", Some(id)) => self.by_id(Kind::Vhd, id)?,
                        (name, id) => {
                            let allowed = self.place.policy().allow.into_iter();
                            let elsewhere =
                                allowed.filter(|_| id.is_some()).map(|it| it.join(name));
                            let mut names = std::iter::once(name.to_owned())
                                .chain(elsewhere.map(|path| path.display().to_string()));
                            names.find_map(|name| self.place.file(&name))?
                        }
                    };
                    self.parent(&file, layer.id.map(|_| "vpc"), layer.id)?
                }
            },
        };
        disk.resize(SIZE, Some(0));
        for block in layer.blocks() {
            disk[block * BLOCK..][..BLOCK].fill(Some(layer.fill()));
        }
        Some(disk)
    }

    /// The image beside it that has this id.
    fn by_id(&self, kind: Kind, id: u8) -> Option<PathBuf> {
        let found = self.layers.iter().find(|it| it.kind == kind && it.index == id)?;
        Some(self.place.folder.join(found.name()))
    }

    fn parent(
        &mut self,
        file: &Path,
        stated: Option<&str>,
        id: Option<u8>,
    ) -> Option<Vec<Option<u8>>> {
        if self.seen.iter().any(|seen| seen == file) {
            return None;
        }
        let index = self.layers.iter().position(|it| self.place.folder.join(it.name()) == file);
        let Some(index) = index else {
            return matches!(stated, None | Some("raw")).then(|| vec![Some(SECRET); SIZE]);
        };
        let layer = &self.layers[index];
        if let Some(id) = id
            && layer.kind == Kind::Vhd
            && layer.index != id
        {
            return None;
        }
        let seen = self.seen.clone();
        Walk { place: self.place, layers: self.layers, seen }.image(index, stated)
    }
}

fn known(bytes: Vec<u8>) -> Vec<Option<u8>> {
    bytes.into_iter().map(Some).collect()
}
