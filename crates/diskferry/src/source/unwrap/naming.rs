//! Which disks of an archive are parts of others: backing files, extents, data files.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Image, Limits, Result};
use diskferry_wrap::{Choice, Found, Package, Part};

use super::Archive;
use crate::format::{Context, OpenNamed};
use crate::place::policy::Policy;
use crate::source::{BACKING, as_it_means, probe};

/// The disk that is meant where nobody has chosen one of several: the only one that no other disk of the
/// archive names. `None` where it is not clear.
pub(super) fn only_unnamed(
    package: &Arc<Package>,
    disks: &[(Found, Result<Part>)],
    limits: &Limits,
) -> Option<Choice> {
    if package.kind() != diskferry_wrap::Archive::Tar || !(2..=MOST).contains(&disks.len()) {
        return None;
    }
    let mut named = HashSet::new();
    for (found, part) in disks.iter().filter_map(|(found, part)| Some((found, part.as_ref().ok()?)))
    {
        let archive = Archive { package: Arc::clone(package), member: found.name.clone() };
        let names = names_in(&Arc::new(part.clone()), limits);
        named.extend(names.iter().map(|name| archive.beside(name).member));
    }
    let mut unnamed = (1..).zip(disks).filter(|(_, (found, _))| !named.contains(&found.name));
    match (unnamed.next(), unnamed.next()) {
        (Some((number, _)), None) => Some(Choice::Number(number)),
        _ => None,
    }
}

/// Disks that are looked at: more than a chain has layers, or a split disk of 64 TiB has parts of 1 TiB.
const MOST: usize = 1024;

/// The names that an image has for its parent and for files that hold a part of it. Of what cannot be opened
/// there are none.
fn names_in(bytes: &Arc<Part>, limits: &Limits) -> Vec<String> {
    let Ok(Some(format)) = probe(bytes.as_ref()) else { return Vec::new() };
    let open = |files: &Listening| -> Option<Arc<dyn Image>> {
        // Each may take what one image may, and gives it back: it is not what will be read.
        let limits = limits.clone().with_metadata(Limits::METADATA);
        let context = Context { limits: &limits, snapshot: None, named: files };
        format.open(Arc::clone(bytes) as Arc<dyn Bytes>, &context).ok()
    };
    let without = Listening { names: RefCell::default(), is_empty: false };
    let parent = open(&without).and_then(|image| as_it_means(image.parent()?, format).ok());
    // Who asks for several files stops at the first that is missing, but not at one that is empty.
    let with = Listening { names: RefCell::default(), is_empty: true };
    open(&with);
    let parent = parent.into_iter().flat_map(|parent| parent.names);
    let names = with.names.into_inner().into_iter().chain(parent);
    let plain =
        |name: OsString| Policy::default().judge_in_archive(BACKING, &name).ok().map(str::to_owned);
    names.filter_map(plain).collect()
}

/// Hears which files are asked for, and has none of them.
struct Listening {
    names: RefCell<Vec<OsString>>,
    /// Whether empty files are given in their place.
    is_empty: bool,
}

impl OpenNamed for Listening {
    fn open_named(
        &self,
        _role: &'static str,
        names: &[OsString],
    ) -> Result<Option<Arc<dyn Bytes>>> {
        self.names.borrow_mut().extend_from_slice(names);
        let empty = || Arc::new(Vec::<u8>::new()) as Arc<dyn Bytes>;
        Ok(self.is_empty.then(empty))
    }
}
