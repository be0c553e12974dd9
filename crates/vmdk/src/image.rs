//! An opened image: its extents, and the descriptor that says what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Cancel, Cursor, Description, Detail, Disk, Error, Held, Image, Limits, Order,
    ParentRef, Problem, Progress, Result, SECTOR,
};
use encoding_rs::Encoding as CharacterSet;

use crate::check;
use crate::cursor::Reader;
use crate::damage::Damage;
use crate::descriptor::{Access, Descriptor, ExtentKind, ExtentLine};
use crate::header::{Header, Magic, Packing};
use crate::names;
use crate::sparse::{Encoding, Opened, Sparse};
use crate::wire::field;

/// An opened VMDK: one layer, of one file or of a descriptor and the files that it names.
pub struct Vmdk {
    /// The image itself, then the files of the extents.
    pub(crate) files: Vec<Arc<dyn Bytes>>,
    pub(crate) extents: Vec<Extent>,
    size: u64,
    header: Option<Header>,
    descriptor: Option<Held<Descriptor>>,
    /// The files that [`with_extents`](Self::with_extents) is to bring.
    needed: Vec<ExtentName>,
    parent: Option<ParentRef>,
    /// What was odd at opening.
    warnings: Vec<Problem>,
}

/// A file that a descriptor names. The name is the image's word: untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtentName {
    /// The name, as the descriptor has it.
    pub name: String,
    /// What it is needed as, for messages.
    pub role: &'static str,
    /// Whether no other path of the descriptor ends in the same component.
    alone: bool,
    page: Option<&'static CharacterSet>,
}

impl ExtentName {
    /// What the file may be called here, the likeliest first: images move without their folders, and names are
    /// bytes in the encoding of the machine that wrote them.
    pub fn names(&self) -> Vec<OsString> {
        names::of_extent(&self.name, self.page, self.alone)
    }
}

/// A run of the disk.
pub(crate) struct Extent {
    /// Offset on the disk of its first byte.
    pub start: u64,
    pub length: u64,
    pub store: Store,
}

impl Extent {
    pub fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// Where an extent's bytes are; files by their index.
pub(crate) enum Store {
    Zero,
    Flat {
        file: usize,
        offset: u64,
    },
    Sparse {
        file: usize,
        sparse: Sparse,
    },
    /// In a file that was not brought yet.
    Elsewhere,
}

/// Whether a file that starts with these bytes (2 KiB where it has as many) says that it is a VMDK:
/// a descriptor, or an extent that says what it is.
pub fn probe(head: &[u8]) -> bool {
    Magic::of(head).is_some() || Descriptor::probe(head)
}

/// The longest descriptor: ten times that of a disk of 64 TiB in parts of 2 GiB.
pub(crate) const DESCRIPTOR_MAX: u64 = 16 << 20;

impl Vmdk {
    /// Opens an image: reads its descriptor, and where the disk is in the same file, its grain
    /// directory. [`extents_needed`](Self::extents_needed) says which other files it takes.
    ///
    /// # Errors
    /// `Damaged` when these contradict each other or the file's length, `Unsupported` for disks on
    /// devices, for parts of a disk, and for what is unknown here, `Limit` for tables past the
    /// bounds, `Io`.
    pub fn open(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let name = bytes.name().to_owned();
        Self::read(bytes, budget).map_err(|error| error.doing("opening").in_file(&name))
    }

    fn read(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        match magic(bytes.as_ref())? {
            Some(Magic::Hosted) => Self::hosted(bytes, budget),
            Some(Magic::Cowd) => {
                let (opened, parent) = Sparse::cowd(bytes.as_ref(), budget)?;
                let names = parent.iter().filter_map(|name| last_component(name));
                let parent = parent.is_some().then(|| ParentRef {
                    names: names.collect(),
                    format: Some(FORMAT.into()),
                    id: None,
                });
                Self { parent, ..Self::bare(bytes) }.with_own(opened, None, budget)
            }
            Some(Magic::SeSparse) => {
                let opened = Sparse::se_sparse(bytes.as_ref(), budget)?;
                Self::bare(bytes).with_own(opened, None, budget)
            }
            None => {
                let length = bytes.len();
                let head = read(bytes.as_ref(), 0, length.min(PROBED))?;
                if !Descriptor::probe(&head) {
                    return Err(Damage::NoSignature.into());
                }
                let descriptor = read_descriptor(bytes.as_ref(), 0, length, budget)?;
                Self::of_files(bytes, descriptor, budget)
            }
        }
    }

    /// A disk in one file with a header.
    fn hosted(bytes: Arc<dyn Bytes>, budget: &Budget) -> Result<Self> {
        let header = Header::read(bytes.as_ref())?;
        let descriptor = match header.descriptor {
            Some((at, length)) => read_descriptor(bytes.as_ref(), at, length, budget)?,
            None => budget.hold(Descriptor::default()),
        };
        let lines = descriptor.extents();
        // A header of no capacity may do no more than carry the descriptor.
        if header.capacity == 0 && lines.iter().any(|line| line.sectors > 0) {
            return Self::of_files(bytes, descriptor, budget);
        }
        if descriptor.is_empty() && header.packing == Packing::Plain {
            return Err(Error::unsupported(
                "a part of a disk, without a descriptor; open the descriptor that names it",
            ));
        }
        if lines.len() > 1 {
            let count = lines.len();
            return Err(Error::unsupported(format!("an embedded descriptor of {count} extents")));
        }
        refuse_device(&descriptor)?;
        let opened = Sparse::hosted(bytes.as_ref(), &header, budget)?;
        let said = lines.first().map(|line| line.sectors);
        let mut image = Self { header: Some(header), ..Self::bare(bytes) };
        if descriptor.is_empty() {
            image.warnings.push(Problem::oddity(field::DESCRIPTOR, "it has no descriptor"));
        } else {
            image = image.with_descriptor(descriptor);
        }
        image.with_own(opened, said, budget)
    }

    /// A disk in files that a descriptor names.
    fn of_files(
        bytes: Arc<dyn Bytes>,
        descriptor: Held<Descriptor>,
        budget: &Budget,
    ) -> Result<Self> {
        // QEMU gives a split disk of no bytes no extents, and no cylinders either.
        let is_empty = descriptor.value("ddb.geometry.cylinders") == Some("0");
        if descriptor.extents().is_empty() && !is_empty {
            return Err(Damage::EmptyDescriptor.into());
        }
        refuse_device(&descriptor)?;
        let count = descriptor.extents().len();
        if count > budget.limits().extents as usize {
            let what = format!(
                "a descriptor of {count} extents, past the bound of {}",
                budget.limits().extents
            );
            return Err(Limits::reached("extents", what));
        }
        let mut image = Self::bare(bytes);
        let (mut seen, shared) = (BTreeMap::new(), shared_components(descriptor.extents()));
        for line in descriptor.extents() {
            refuse_unreadable(line)?;
            let (start, length) = (image.size, line.sectors.checked_mul(SECTOR));
            let end = length.and_then(|length| start.checked_add(length));
            let (Some(length), Some(end)) = (length, end) else {
                return Err(Damage::TooLarge.into());
            };
            let store = match line.kind {
                ExtentKind::Zero => Store::Zero,
                _ => {
                    seen.entry(line.name.as_str()).or_insert_with(|| {
                        let alone = names::last_component(&line.name)
                            .is_none_or(|last| !shared.contains(last));
                        let (name, page) = (line.name.clone(), descriptor.page());
                        image.needed.push(ExtentName { name, role: "extent", alone, page });
                    });
                    Store::Elsewhere
                }
            };
            image.size = end;
            image.extents.push(Extent { start, length, store });
        }
        budget.limits().check_virtual_size(image.size)?;
        if image.needed.len() > budget.limits().files as usize {
            let (has, most) = (image.needed.len(), budget.limits().files);
            let what = format!("a disk spread over {has} files, past the bound of {most}");
            return Err(Limits::reached("files", what));
        }
        Ok(image.with_descriptor(descriptor))
    }

    fn bare(bytes: Arc<dyn Bytes>) -> Self {
        Self {
            files: vec![bytes],
            extents: Vec::new(),
            size: 0,
            header: None,
            descriptor: None,
            needed: Vec::new(),
            parent: None,
            warnings: Vec::new(),
        }
    }

    fn with_descriptor(mut self, descriptor: Held<Descriptor>) -> Self {
        self.parent = descriptor.parent_cid().map(|cid| ParentRef {
            names: descriptor
                .parent_path()
                .map_or(Vec::new(), |path| names::of_parent(path, descriptor.page())),
            format: Some(FORMAT.into()),
            id: Some(id_text(cid)),
        });
        if self.parent.is_none() && descriptor.parent_path().is_some() {
            let text = "it names a parent, but no content id of one: it has none";
            self.warnings.push(Problem::oddity(None, text));
        }
        if let Some(encoding) = descriptor.unknown_encoding() {
            let text = format!(
                "its descriptor is in the encoding '{encoding}', which is unknown here; it is read \
                 as UTF-8"
            );
            self.warnings.push(Problem::oddity(None, text));
        }
        self.descriptor = Some(descriptor);
        self
    }

    /// The image with the one extent that is in its own file; `said` is what the descriptor has for
    /// its sectors.
    fn with_own(mut self, opened: Opened, said: Option<u64>, budget: &Budget) -> Result<Self> {
        let Opened { sparse, warnings } = opened;
        self.warnings.extend(warnings);
        if self.header.is_none() {
            let text = "it is an extent without its descriptor, which may name a parent; what is not in \
                        this file reads as zeros";
            self.warnings.push(Problem::oddity(None, text));
        }
        if self.header.as_ref().is_some_and(|header| header.unclean) {
            let text = "it was not closed cleanly; it is read as it stands";
            self.warnings.push(Problem::oddity(field::UNCLEAN, text));
        }
        let capacity = sparse.capacity;
        // Some writers round the header's capacity up to whole grains, and tell the disk's size in
        // the descriptor alone.
        let exact = said.and_then(|sectors| sectors.checked_mul(SECTOR));
        self.size = match exact {
            Some(exact)
                if exact <= capacity
                    && exact.div_ceil(sparse.grain) == capacity.div_ceil(sparse.grain) =>
            {
                exact
            }
            Some(exact) => {
                let text = format!(
                    "the header says {capacity} bytes, and is believed; the descriptor says {exact}"
                );
                self.warnings.push(Problem::oddity(field::CAPACITY, text));
                capacity
            }
            None => capacity,
        };
        budget.limits().check_virtual_size(self.size)?;
        let store = Store::Sparse { file: 0, sparse };
        self.extents.push(Extent { start: 0, length: self.size, store });
        Ok(self)
    }

    /// The files that the descriptor names, each once. Until [`with_extents`](Self::with_extents)
    /// has them, no byte of the disk can be read.
    pub fn extents_needed(&self) -> &[ExtentName] {
        &self.needed
    }

    /// The image with the files that it needs, in the order of
    /// [`extents_needed`](Self::extents_needed).
    ///
    /// # Errors
    /// `Misuse` when they are not as many, else as for [`open`](Self::open).
    pub fn with_extents(mut self, files: Vec<Arc<dyn Bytes>>, budget: &Budget) -> Result<Self> {
        if files.len() != self.needed.len() {
            let (has, needs) = (files.len(), self.needed.len());
            return Err(Error::misuse(format!("{has} files for {needs} extents"))
                .in_file(self.files[0].name()));
        }
        let indexes: BTreeMap<&str, usize> =
            self.needed.iter().map(|needed| needed.name.as_str()).zip(1..).collect();
        self.files.truncate(1);
        self.files.extend(files);
        let lines = self.descriptor.as_ref().map_or(&[][..], |descriptor| descriptor.extents());
        for (extent, line) in self.extents.iter_mut().zip(lines) {
            let Some(&file) = indexes.get(line.name.as_str()).filter(|_| extent.is_elsewhere())
            else {
                continue;
            };
            let bytes = self.files[file].as_ref();
            let (store, warnings) = open_extent(line, file, bytes, budget)
                .map_err(|error| error.doing("opening").in_file(bytes.name()))?;
            let named = warnings.into_iter().map(|problem| in_file(bytes, problem));
            self.warnings.extend(named);
            extent.store = store;
        }
        Ok(self)
    }

    /// Index of the extent that `at`, which is within the disk, is in.
    pub(crate) fn extent_at(&self, at: u64) -> usize {
        // Extents of no sectors are passed over.
        self.extents.partition_point(|extent| extent.end() <= at)
    }

    /// The extents that have grains, with their files' indexes.
    fn sparse(&self) -> impl Iterator<Item = &Sparse> {
        self.extents.iter().filter_map(|extent| match &extent.store {
            Store::Sparse { sparse, .. } => Some(sparse),
            _ => None,
        })
    }

    /// Whether some of its grains are compressed.
    fn is_packed(&self) -> bool {
        self.sparse().any(|sparse| sparse.packing() != Packing::Plain)
    }

    fn subformat(&self) -> String {
        let said = self.descriptor.as_ref().and_then(|descriptor| descriptor.create_type());
        let seen = || match self.sparse().next().map(|sparse| sparse.encoding) {
            Some(Encoding::Cowd) => "vmfsSparse",
            Some(Encoding::SeSparse { .. }) => "seSparse",
            Some(Encoding::Hosted { packing: Packing::Deflate { .. }, .. }) => "streamOptimized",
            Some(Encoding::Hosted { .. }) => "monolithicSparse",
            None => "custom",
        };
        said.map_or_else(|| seen().to_owned(), str::to_owned)
    }
}

impl Extent {
    fn is_elsewhere(&self) -> bool {
        matches!(self.store, Store::Elsewhere)
    }
}

/// This format's name, for parents.
const FORMAT: &str = "vmdk";

/// Bytes that tell a descriptor.
const PROBED: u64 = 2048;

/// A content id as descriptors have it, in whole length.
pub(crate) fn id_text(cid: u32) -> String {
    format!("{cid:08x}")
}

fn magic(bytes: &dyn Bytes) -> Result<Option<Magic>> {
    Ok(Magic::of(&read(bytes, 0, bytes.len().min(8))?))
}

fn read(bytes: &dyn Bytes, at: u64, length: u64) -> Result<Vec<u8>> {
    let mut read = vec![0; length as usize];
    bytes.read_at(at, &mut read)?;
    Ok(read)
}

fn read_descriptor(
    bytes: &dyn Bytes,
    at: u64,
    length: u64,
    budget: &Budget,
) -> Result<Held<Descriptor>> {
    let end = bytes.len();
    if at.checked_add(length).is_none_or(|descriptor_end| descriptor_end > end) {
        return Err(Damage::PastEnd { what: "descriptor", at, length, end }.into());
    }
    if length > DESCRIPTOR_MAX {
        return Err(Error::limit(format!("a descriptor of {length} bytes")));
    }
    let _spent = budget.spend("the descriptor", length)?;
    let text = read(bytes, at, length)?;
    Descriptor::parse(&text, budget)
}

fn last_component(name: &[u8]) -> Option<OsString> {
    let last = name.rsplit(|byte| matches!(byte, b'/' | b'\\')).next();
    last.filter(|last| !last.is_empty()).map(|last| OsString::from_vec(last.to_vec()))
}

/// What two different paths end in: files in two folders, of which one at most can be beside the image.
fn shared_components(lines: &[ExtentLine]) -> BTreeSet<&str> {
    let (mut paths, mut shared) = (BTreeMap::new(), BTreeSet::new());
    for line in lines {
        if let Some(last) = names::last_component(&line.name)
            && *paths.entry(last).or_insert(line.name.as_str()) != line.name
        {
            shared.insert(last);
        }
    }
    shared
}

/// Kinds of image whose bytes are on a device, in lower case.
const DEVICES: [&str; 7] = [
    "fulldevice",
    "partitioneddevice",
    "vmfsraw",
    "vmfsrdm",
    "vmfsrdmp",
    "vmfsrawdevicemap",
    "vmfspassthroughrawdevicemap",
];

fn refuse_device(descriptor: &Descriptor) -> Result<()> {
    match descriptor.create_type() {
        Some(kind) if DEVICES.contains(&kind.to_ascii_lowercase().as_str()) => {
            Err(Error::unsupported(format!("a {kind} image: the disk is on a device")))
        }
        _ => Ok(()),
    }
}

fn refuse_unreadable(line: &ExtentLine) -> Result<()> {
    match (&line.kind, line.access) {
        (ExtentKind::Other(kind), _) => {
            Err(Error::unsupported(format!("an extent of type {kind}")))
        }
        (ExtentKind::Zero, _) | (_, Access::ReadWrite | Access::ReadOnly) => Ok(()),
        (_, Access::None) => {
            Err(Error::unsupported(format!("extent '{}', which gives no access", line.name)))
        }
    }
}

/// A problem of one file of several, which it names.
pub(crate) fn in_file(bytes: &dyn Bytes, problem: Problem) -> Problem {
    let text = format!("{}: {}", bytes.name(), problem.text);
    Problem { text, ..problem }
}

/// Opens a file as the extent that the line says it is.
fn open_extent(
    line: &ExtentLine,
    file: usize,
    bytes: &dyn Bytes,
    budget: &Budget,
) -> Result<(Store, Vec<Problem>)> {
    if matches!(line.kind, ExtentKind::Flat | ExtentKind::Vmfs) {
        // The descriptor's parser has seen to it that this is within 64 bits.
        return Ok((Store::Flat { file, offset: line.offset * SECTOR }, Vec::new()));
    }
    // The descriptor's word for the kind is not always right, as QEMU found.
    let Opened { sparse, mut warnings } = match magic(bytes)? {
        Some(Magic::Hosted) => Sparse::hosted(bytes, &Header::read(bytes)?, budget)?,
        Some(Magic::Cowd) => Sparse::cowd(bytes, budget)?.0,
        Some(Magic::SeSparse) => Sparse::se_sparse(bytes, budget)?,
        None => return Err(Damage::NoSignature.into()),
    };
    let (has, says) = (sparse.capacity / SECTOR, line.sectors);
    if has < says {
        return Err(Damage::ExtentSize { name: line.name.clone(), has, says }.into());
    }
    if has.saturating_mul(SECTOR).div_ceil(sparse.grain) > (says * SECTOR).div_ceil(sparse.grain) {
        let text = format!("it has {has} sectors, of which the descriptor uses {says}");
        warnings.push(Problem::oddity(field::CAPACITY, text));
    }
    Ok((Store::Sparse { file, sparse }, warnings))
}

impl Disk for Vmdk {
    fn size(&self) -> u64 {
        self.size
    }

    fn grain(&self) -> u64 {
        self.sparse().map(|sparse| sparse.grain).max().unwrap_or(1)
    }

    fn files(&self) -> &[Arc<dyn Bytes>] {
        &self.files
    }

    fn order(&self) -> Order {
        if self.is_packed() { Order::Grains } else { Order::Any }
    }

    fn cursor(&self) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(Reader::new(self)))
    }
}

impl Image for Vmdk {
    fn describe(&self) -> Description {
        let value = |key: &str| self.descriptor.as_ref().and_then(|text| text.value(key));
        let mut ids = Vec::new();
        if let Some(cid) = self.descriptor.as_ref().and_then(|descriptor| descriptor.cid()) {
            ids.push(("cid", id_text(cid)));
        }
        if let Some(cid) = self.descriptor.as_ref().and_then(|descriptor| descriptor.parent_cid()) {
            ids.push(("parent_cid", id_text(cid)));
        }
        let found = IDS.iter().filter_map(|(name, key)| Some((*name, value(key)?.to_owned())));
        ids.extend(found);
        let mut details = Vec::new();
        if let Some(header) = &self.header {
            details.push(("version", Detail::Number(u64::from(header.version))));
            details.push(("zeroed_grains", Detail::Flag(header.zeroed_grains)));
        }
        if let Some(sparse) = self.sparse().next() {
            details.push(("grain_size", Detail::Number(sparse.grain)));
        }
        for (name, key) in DETAILS {
            details.extend(value(key).map(|text| (*name, Detail::Text(text.to_owned()))));
        }
        let geometry = ["cylinders", "heads", "sectors"]
            .map(|part| value(&format!("ddb.geometry.{part}")).map(str::to_owned));
        if let [Some(cylinders), Some(heads), Some(sectors)] = geometry {
            let text = format!("{cylinders}/{heads}/{sectors}");
            details.push(("geometry", Detail::Text(text)));
        }
        if let Some(descriptor) = &self.descriptor {
            let lines = descriptor.extents().iter().map(ExtentLine::to_string).collect();
            details.push(("extents", Detail::List(lines)));
        }
        Description {
            subformat: self.subformat(),
            ids,
            compression: self.is_packed().then_some("deflate"),
            details,
            warnings: self.warnings.clone(),
            ..Description::default()
        }
    }

    fn parent(&self) -> Option<&ParentRef> {
        self.parent.as_ref()
    }

    fn id(&self) -> Option<String> {
        self.descriptor.as_ref().and_then(|descriptor| descriptor.cid()).map(id_text)
    }

    fn check_tables(
        &self,
        cancel: &Cancel,
        progress: &Progress,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        check::check(self, cancel, progress, report)
    }
}

impl std::fmt::Display for ExtentLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access = match self.access {
            Access::ReadWrite => "RW",
            Access::ReadOnly => "RDONLY",
            Access::None => "NOACCESS",
        };
        write!(f, "{access} {} {}", self.sectors, self.kind.as_str())?;
        match self.kind {
            ExtentKind::Zero => Ok(()),
            ExtentKind::Flat => write!(f, " \"{}\" {}", self.name, self.offset),
            _ => write!(f, " \"{}\"", self.name),
        }
    }
}

/// Identifiers, by our name and the descriptor's.
const IDS: &[(&str, &str)] = &[
    ("long_content_id", "ddb.longContentID"),
    ("uuid", "ddb.uuid"),
    // VirtualBox's own.
    ("image_uuid", "ddb.uuid.image"),
    ("parent_uuid", "ddb.uuid.parent"),
];

/// What else is worth knowing, by our name and the descriptor's.
const DETAILS: &[(&str, &str)] = &[
    ("adapter_type", "ddb.adapterType"),
    ("hardware_version", "ddb.virtualHWVersion"),
    ("tools_version", "ddb.toolsVersion"),
    ("tools_install_type", "ddb.toolsInstallType"),
    ("thin_provisioned", "ddb.thinProvisioned"),
    ("encoding", "encoding"),
    ("parent_file_name_hint", "parentFileNameHint"),
    ("change_track_path", "changeTrackPath"),
    ("native_snapshot", "isNativeSnapshot"),
    ("comment", "ddb.comment"),
];
