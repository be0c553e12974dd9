//! A pipe as a target: a named one, a character device, or stdout, whatever that is. Bytes go there in order, and
//! are gone.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use diskferry_block_stream::{Error, Identity, Remedy, Result};
use diskferry_engine::{Destination, Needs, Outputs, PipeOutput, ReadBack, Target};

use crate::place::kind::FileKind;
use crate::place::standard::{self, STDOUT};

/// What bytes can only be appended to.
pub(super) struct PipePlace {
    name: String,
    /// Where it is, but for stdout.
    path: Option<PathBuf>,
    /// What could be a source as well.
    there: Option<Metadata>,
}

impl PipePlace {
    /// A named pipe, or a character device.
    pub fn at(path: PathBuf, there: Metadata) -> Self {
        let there = Some(there).filter(|there| there.file_type().is_fifo());
        Self { name: path.display().to_string(), path: Some(path), there }
    }

    /// # Errors
    /// `Misuse` for a terminal, `Io` where stdout is closed.
    pub fn stdout() -> Result<Self> {
        if io::stdout().is_terminal() {
            return Err(Error::misuse(
                "a terminal takes no disk image; name a target file, or redirect stdout",
            )
            .in_file(STDOUT));
        }
        let there = standard::stdout()?.metadata();
        let there = there.map_err(|error| Error::from(error).in_file(STDOUT))?;
        let there = Some(there)
            .filter(|there| FileKind::of(there).is_random() || there.file_type().is_fifo());
        Ok(Self { name: STDOUT.to_owned(), path: None, there })
    }
}

impl Destination for PipePlace {
    fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn overwrites(&self, _needs: &Needs<'_>) -> Result<Vec<(String, Identity)>> {
        Ok(self.there.iter().map(|there| (self.name.clone(), Identity::of(there))).collect())
    }

    fn accepts(&self, needs: &Needs<'_>) -> Result<()> {
        if needs.read_back {
            return Err(Error::misuse("a pipe cannot be read back")
                .mended_by(Remedy::WriteToFile)
                .in_file(&self.name));
        }
        needs.check_forward().map_err(|error| error.in_file(&self.name))
    }

    fn create(self: Box<Self>, _needs: &Needs<'_>) -> Result<Box<dyn Target>> {
        let Self { name, path, .. } = *self;
        let pipe = match path {
            Some(path) => {
                let opened = OpenOptions::new().write(true).open(path);
                opened.map_err(|error| Error::from(error).doing("opening").in_file(&name))?
            }
            None => standard::stdout()?,
        };
        Ok(Box::new(PipeTarget(PipeOutput::new(name, pipe))))
    }
}

/// A pipe that is being written to.
struct PipeTarget(PipeOutput<File>);

impl Target for PipeTarget {
    fn outputs(&self) -> Outputs<'_> {
        Outputs::from(&self.0)
    }

    fn read_back(&self) -> Result<Option<ReadBack>> {
        Ok(None)
    }

    fn keep(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
