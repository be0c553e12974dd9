//! Which files a disk of an archive needs besides itself: its backing file, extents, data files.

use std::cell::RefCell;
use std::ffi::OsString;
use std::sync::Arc;

use diskferry_block_stream::{Bytes, Image, Limits, Result};
use diskferry_wrap::Part;

use crate::format::{Context, OpenNamed};
use crate::place::policy::Policy;
use crate::source::found::BACKING;
use crate::source::meant::as_it_means;
use crate::source::probe::probe;

/// The names that an image has for its parent and for files that hold a part of it. Of what cannot be opened
/// there are none.
pub(super) fn names_in(bytes: &Arc<Part>, limits: &Limits) -> Vec<String> {
    let Ok(Some(format)) = probe(bytes.as_ref()) else { return Vec::new() };
    let open = |files: &Listening| -> Option<Arc<dyn Image>> {
        // Each may take what one image may, and gives it back: it is not what will be read.
        let context = Context { budget: &limits.budget(), snapshot: None, named: files };
        format.open(Arc::clone(bytes) as Arc<dyn Bytes>, &context).ok()
    };
    let without = Listening { names: RefCell::default(), is_empty: false };
    let parent = open(&without).and_then(|image| as_it_means(image.parent()?, format).ok());
    // Who asks for several files stops at the first that is missing, but not at one that is empty.
    let with = Listening { names: RefCell::default(), is_empty: true };
    open(&with);
    let parent = parent.into_iter().flat_map(|parent| parent.names);
    let names = with.names.into_inner().into_iter().chain(parent);
    let plain = |name: OsString| Policy::judge_in_archive(BACKING, &name).ok().map(str::to_owned);
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
