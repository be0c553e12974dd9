//! Opens an image and what it is over: its layers from the top down, and the files that they name.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use diskferry_block_stream::{
    Budget, Bytes, Disk, Error, Limits, Note, NoteKind, ParentRef, Result, Siblings,
};
use diskferry_engine::Chain;

use crate::format::{Context, Format, OpenNamed};
use crate::place::identity::overlap;
use crate::source::around::Around;
use crate::source::found::{BACKING, Found, open_first};
use crate::source::image::{Layer, Layers, Missing};
use crate::source::meant::as_it_means;
use crate::source::opened::{Body, Opened};
use crate::source::options::{Backing, OpenOptions};
use crate::source::origin::Origin;
use crate::source::parent;
use crate::source::probe::{assume_raw, looks_wrapped, probe};
use crate::source::wanted::Wanted;

/// Opens the image `top`, which is `file` without what is `around` it, and what it is over.
///
/// # Errors
/// As for [`OpenOptions::open`].
pub(super) fn open_chain(
    options: &OpenOptions,
    wanted: &Wanted,
    top: Found,
    file: Arc<dyn Bytes>,
    around: Around,
) -> Result<Opened> {
    let (name, identity) = (top.name.clone(), file.identity());
    let (budget, layers, warnings) = (&wanted.budget, Vec::new(), around.notes.clone());
    let mut chain = Opening { options, budget, layers, warnings };
    if options.format == Some(Format::RAW) {
        chain.warnings.extend(looks_wrapped(top.bytes.as_ref())?);
    }
    let format = wanted.disk_format().or(around.told_format());
    chain.open_layer(top, format, options.snapshot.as_deref())?;
    let missing = chain.open_parents()?;
    let Opening { layers, warnings, .. } = chain;
    let (format, assumed) = (layers[0].format, layers[0].assumed);
    let mut upwards = layers.iter().rev().map(|layer| Arc::clone(&layer.image) as Arc<dyn Disk>);
    let base = upwards.next().expect("the top layer was opened");
    let disk = upwards.fold(base, |parent, layer| Arc::new(Chain::new(layer, parent)));
    let snapshot = options.snapshot.clone();
    let layers = Layers { disk, layers, missing, snapshot, is_packed: false };
    let file = Some(file);
    let origin = Origin { name, format, assumed, around, file, identity, piped: None, warnings };
    Ok(Opened { origin, body: Body::Random(layers) })
}

/// A chain that is being opened, from the top down.
struct Opening<'a> {
    options: &'a OpenOptions,
    budget: &'a Budget,
    layers: Vec<Layer>,
    warnings: Vec<Note>,
}

impl Opening<'_> {
    /// Opens what the top layer is over, down to the base. Returns what could not be opened, where that may be.
    fn open_parents(&mut self) -> Result<Option<Missing>> {
        let mut given = self.options.parent.as_deref();
        if given.is_some() && self.parent().is_none() {
            let name = self.layers[0].name();
            return Err(Error::misuse("it has no parent that another file could be").in_file(name));
        }
        while self.options.backing != Backing::Ignored
            && let Some(parent) = self.parent()
        {
            let given = given.take();
            match (self.open_parent(&parent, given), self.options.backing) {
                (Ok(()), _) => {}
                (Err(error), Backing::Lenient) if given.is_none() => {
                    let error = Note::of_error(NoteKind::Named, &error);
                    self.warnings.push(error.clone());
                    return Ok(Some(Missing { parent, error }));
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(None)
    }

    fn open_layer(
        &mut self,
        found: Found,
        format: Option<Format>,
        snapshot: Option<&str>,
    ) -> Result<()> {
        let Found { name, siblings, bytes, locked } = found;
        self.warnings.extend(locked);
        let told = match format {
            Some(format) => Some(format),
            None => probe(bytes.as_ref())?,
        };
        let format = match told {
            Some(format) => format,
            None => assume_raw(&name, &bytes).map_err(|error| error.in_file(&name))?,
        };
        let neighbours = Neighbours {
            options: self.options,
            image: &name,
            siblings: siblings.as_ref(),
            found: RefCell::default(),
            warnings: RefCell::default(),
        };
        let context = Context { budget: self.budget, snapshot, named: &neighbours };
        let image =
            format.open(Arc::clone(&bytes), &context).map_err(|error| error.in_file(&name))?;
        let Neighbours { found, warnings, .. } = neighbours;
        self.warnings.extend(warnings.into_inner());
        let described = image.describe().warnings.into_iter();
        self.warnings
            .extend(described.map(|warning| Note::of(NoteKind::Format, &name, warning.text)));
        let (assumed, others) = (told.is_none(), found.into_inner());
        self.layers.push(Layer { name, siblings, format, assumed, image, bytes, others });
        Ok(())
    }

    /// The parent of the lowest layer so far.
    fn parent(&self) -> Option<ParentRef> {
        self.layers.last()?.image.parent().cloned()
    }

    /// Opens what the lowest layer so far is over: the file that the caller gives, else the one that it names.
    fn open_parent(&mut self, parent: &ParentRef, given: Option<&Path>) -> Result<()> {
        let child = self.layers.last().expect("a parent is a layer's");
        let (limits, name) = (&self.options.limits, child.name.clone());
        if self.layers.len() >= limits.chain_depth as usize {
            let depth = limits.chain_depth;
            let what = format!("a backing chain of more than {depth} layers");
            return Err(Limits::reached("depth", what).in_file(self.layers[0].name()));
        }
        let parent = &match (as_it_means(parent, child.format), given) {
            (Ok(meant), _) => meant,
            (Err(_), Some(_)) => parent.clone(),
            (Err(error), None) => return Err(error.in_file(&name)),
        };
        let format = self.stated_format(parent, &name)?;
        let found = match given {
            Some(path) => Found::at(path, self.options)?,
            None => self.find_parent(parent, format).map_err(|error| error.in_file(&name))?,
        };
        let identity = found.bytes.identity();
        if given.is_some() && overlap(&child.bytes.identity(), &identity) {
            return Err(Error::misuse("it is given as its own parent").in_file(&name));
        }
        if self.layers.iter().any(|layer| layer.bytes.identity() == identity) {
            return Err(Error::damaged(format!(
                "the backing chain comes back to '{}'",
                found.name
            ))
            .in_file(&name));
        }
        let source = found.minding(self.options.locks)?;
        if given.is_some() && format == Some(Format::RAW) {
            self.warnings.extend(looks_wrapped(source.bytes.as_ref())?);
        }
        self.open_layer(source, format, None)?;
        match (self.another_image(parent), given) {
            (None, _) => {}
            (Some(text), Some(_)) => {
                self.warnings.push(Note::of(NoteKind::Named, &name, text));
            }
            (Some(text), None) => {
                self.layers.pop();
                return Err(Error::damaged(text).in_file(&name));
            }
        }
        if format.is_none() {
            let opened = self.layers.last().expect("it was opened just now");
            let called = given.map_or(parent.name(), |path| path.to_string_lossy());
            let text = format!(
                "it does not say which format its backing file '{called}' has; taken for {}, by its content",
                opened.format
            );
            self.warnings.push(Note::of(NoteKind::Named, &name, text));
        }
        Ok(())
    }

    /// The file that the child says is its parent: the first of its names that leads to one, or,
    /// where it has no name for it, the file beside it that has the id.
    ///
    /// Formats with ids have names without folders, for images move. What is not beside the child
    /// may then be in a folder that the caller allows; its id tells whether it is the one.
    fn find_parent(&self, parent: &ParentRef, format: Option<Format>) -> Result<Found> {
        let child = self.layers.last().expect("a parent is a layer's");
        let siblings = child.siblings.as_ref();
        match (&parent.names[..], &parent.id) {
            ([], None) => Err(Error::damaged("a parent without a name")),
            ([], Some(id)) => {
                let format = format.unwrap_or(child.format);
                parent::find(self.options, siblings, format, id)
            }
            ([_, ..], id) => {
                let moved = siblings.filter(|_| id.is_some());
                let elsewhere = moved.map(|it| it.elsewhere(&parent.names)).unwrap_or_default();
                open_first(siblings, BACKING, &parent.names, &elsewhere)
            }
        }
    }

    /// What shows that the layer opened last is not the one that its child was made over, as far as the format
    /// tells.
    fn another_image(&self, parent: &ParentRef) -> Option<String> {
        let opened = self.layers.last().expect("it was opened just now");
        let (wanted, found) = (parent.id.as_ref()?, opened.image.id()?);
        (*wanted != found).then(|| {
            format!(
                "its backing file '{}' has the id {found}, and not {wanted}: it is another image, or \
                 was changed since",
                opened.name
            )
        })
    }

    /// The format that the child says its parent has. It is obeyed: a raw backing file holds
    /// whatever its guest wrote, which may look like another format.
    fn stated_format(&self, parent: &ParentRef, child: &str) -> Result<Option<Format>> {
        let Some(stated) = &parent.format else { return Ok(None) };
        // Old qemu wrote the protocol's name where it meant a raw image.
        let name = match stated.as_str() {
            "file" | "host_device" => "raw",
            other => other,
        };
        Format::from_name(name).map(Some).ok_or_else(|| {
            Error::unsupported(format!(
                "its backing file '{}' has the format '{stated}', which diskferry does not read",
                parent.name()
            ))
            .in_file(child)
        })
    }
}

/// The files beside one layer.
struct Neighbours<'a> {
    options: &'a OpenOptions,
    image: &'a str,
    siblings: Option<&'a Arc<dyn Siblings>>,
    found: RefCell<Vec<Arc<dyn Bytes>>>,
    warnings: RefCell<Vec<Note>>,
}

impl Neighbours<'_> {
    fn open(&self, role: &'static str, names: &[OsString]) -> Result<Arc<dyn Bytes>> {
        let found = open_first(self.siblings, role, names, &[])?.minding(self.options.locks)?;
        self.warnings.borrow_mut().extend(found.locked);
        self.found.borrow_mut().push(Arc::clone(&found.bytes));
        Ok(found.bytes)
    }
}

impl OpenNamed for Neighbours<'_> {
    fn open_named(&self, role: &'static str, names: &[OsString]) -> Result<Option<Arc<dyn Bytes>>> {
        match self.open(role, names) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if self.options.backing == Backing::Lenient => {
                let error = error.in_file(self.image);
                let note = Note::of_error(NoteKind::Named, &error);
                self.warnings.borrow_mut().push(note);
                Ok(None)
            }
            Err(error) => Err(error.in_file(self.image)),
        }
    }
}
