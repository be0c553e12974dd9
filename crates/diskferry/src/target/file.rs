//! A file, there or not, as a target; for a disk in several files, the one that names the others.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diskferry_block_stream::{Error, Identity, Note, NoteKind, Remedy, Result};
use diskferry_engine::{
    Destination, Durability, FileBytes, FileOutput, Needs, Output, Outputs, ReadBack, Replace,
    Target, Undo, left_behind,
};

use crate::target::parts::{PartPlace, places};
use crate::target::split::SplitTarget;

/// A file that is there, or may come to be.
pub(super) struct FilePlace {
    pub name: String,
    pub path: PathBuf,
    /// The file that is there now.
    pub there: Option<Metadata>,
    pub replace: Replace,
    pub durability: Durability,
}

impl FilePlace {
    fn parts(&self, needs: &Needs<'_>) -> Result<Vec<PartPlace>> {
        needs.parts().map_or(Ok(Vec::new()), |parts| places(&self.path, parts))
    }
}

impl Destination for FilePlace {
    fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn file_name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    fn overwrites(&self, needs: &Needs<'_>) -> Result<Vec<(String, Identity)>> {
        let own = self.there.iter().map(|there| (self.name.clone(), Identity::of(there)));
        let parts = self.parts(needs)?;
        let parts = parts.into_iter().filter_map(|part| {
            let there = Identity::of(&part.there?);
            Some((shown(&part.path), there))
        });
        Ok(own.chain(parts).collect())
    }

    fn accepts(&self, needs: &Needs<'_>) -> Result<()> {
        let refuse = |name: &str| match self.replace {
            Replace::Allowed => Ok(()),
            Replace::Never => Err(Error::exists("the target exists")
                .mended_by(Remedy::ReplaceTarget)
                .in_file(name)),
        };
        self.overwrites(needs)?.iter().try_for_each(|(name, _)| refuse(name))
    }

    fn left_behind(&self) -> Vec<Note> {
        let lines = left_behind(&self.path).into_iter().map(|name| {
            let left = self.path.with_file_name(name);
            let text = "what a killed run left of this target; it can be removed";
            Note::of(NoteKind::LeftBehind, &left.display().to_string(), text)
        });
        lines.collect()
    }

    fn create(self: Box<Self>, needs: &Needs<'_>) -> Result<Box<dyn Target>> {
        let start = |path: &Path| -> Result<FileOutput> {
            let output = FileOutput::create(path, self.replace)?;
            Ok(output.with_durability(self.durability))
        };
        let own = start(&self.path)?;
        if needs.parts().is_none() {
            return Ok(Box::new(FileTarget(own)));
        }
        let parts = self.parts(needs)?.into_iter();
        let parts = parts.map(|PartPlace { name, path, .. }| Ok((name, start(&path)?)));
        Ok(Box::new(SplitTarget::new(own, parts.collect::<Result<_>>()?)))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A file that is being written.
struct FileTarget(FileOutput);

impl Target for FileTarget {
    fn outputs(&self) -> Outputs<'_> {
        Outputs::from(&self.0)
    }

    /// Removes it while it has a temporary name.
    fn undo(&self) -> Undo {
        let temporary = self.0.temporary().cloned();
        Box::new(move || temporary.iter().for_each(|entry| _ = entry.remove()))
    }

    fn read_back(&self) -> Result<Option<ReadBack>> {
        let bytes = FileBytes::new(self.0.name(), self.0.reopen()?)?;
        Ok(Some(ReadBack::alone(Arc::new(bytes))))
    }

    fn keep(self: Box<Self>) -> Result<()> {
        self.0.keep().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use diskferry_block_stream::{Flat, Part, Plan, Split};
    use diskferry_engine::Job;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn all_files_get_their_names_or_none() {
        let part = |suffix: &str| Part {
            suffix: suffix.to_owned(),
            length: 1,
            plan: Plan::Flat(Flat::default()),
        };
        let parts = vec![part("-1"), part("-2")];
        let plan = Plan::Split(Split { parts, descriptor: Box::new(|_| Ok(vec![])) });
        let mut needs = Needs::default();
        needs.plan = Some(&plan);
        for (blocked, expected) in [
            (None, &["a-1.vmdk", "a-2.vmdk", "a.vmdk"][..]),
            (Some("a-2.vmdk"), &["a-2.vmdk"]),
            (Some("a.vmdk"), &["a.vmdk"]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.vmdk");
            let place = FilePlace {
                name: shown(&path),
                path,
                there: None,
                replace: Replace::Never,
                durability: Durability::default(),
            };
            place.accepts(&needs).unwrap();
            let target = Box::new(place).create(&needs).unwrap();
            let Outputs::Split { parts, .. } = target.outputs() else { panic!("there are parts") };
            for (_, part) in parts {
                part.finish(0, &Job::new(1).unwrap()).unwrap();
            }
            // Somebody else takes a name meanwhile.
            if let Some(blocked) = blocked {
                fs::write(folder.path().join(blocked), b"theirs").unwrap();
            }
            assert_eq!(target.keep().is_ok(), blocked.is_none());
            assert_eq!(names(folder.path()), expected);
        }
    }
}
