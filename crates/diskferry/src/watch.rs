//! What a conversion shares with whoever watches it, or has to end it at once.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use diskferry_block_stream::{Progress, Result};

/// A window into a running conversion, for a progress display and for a signal handler.
///
/// Ending a conversion takes its `Cancel`, and then a moment. Where that moment is not to be had,
/// because a read hangs on a dead network file system, say, [`clean_up`](Self::clean_up) removes
/// what the conversion would leave behind, and the process can exit.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pace: Pace,
    /// The temporary files, while there are any. Whoever holds the lock may give them their final
    /// names.
    partial: Vec<PathBuf>,
}

/// What a conversion is doing, and what its `Progress` counted before that. A stage's own part is
/// what was counted since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// What it is doing.
    pub stage: Stage,
    /// Bytes that all stages before this one expected to pass.
    pub total_before: u64,
    /// Bytes that passed in all stages before this one.
    pub passed_before: u64,
}

/// What a conversion is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Opening the source, judging the target.
    #[default]
    Opening,
    /// Looking whether what a smaller size would drop is zeros.
    Shrinking,
    /// Copying.
    Copying,
    /// Reading the target back.
    Verifying,
    /// The target is there, whole, under its name.
    Done,
}

impl Stage {
    /// The word that people and scripts read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Shrinking => "shrinking",
            Self::Copying => "copying",
            Self::Verifying => "verifying",
            Self::Done => "done",
        }
    }
}

impl Watch {
    /// What the conversion is doing.
    pub fn pace(&self) -> Pace {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pace
    }

    /// Removes the temporary files, if there are any. The conversion cannot succeed after that.
    ///
    /// Returns false when it is too late: the target has its name, or is being given it.
    pub fn clean_up(&self) -> bool {
        let mut state = match self.0.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        if state.pace.stage == Stage::Done {
            return false;
        }
        for partial in state.partial.drain(..) {
            // Nobody is left to be told that it cannot be removed.
            let _ = std::fs::remove_file(partial);
        }
        true
    }

    pub(crate) fn enter(&self, stage: Stage, progress: &Progress) {
        let (total_before, passed_before) = (progress.total(), progress.passed());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.pace = Pace { stage, total_before, passed_before };
    }

    /// Names the temporary files for as long as the guard lives.
    pub(crate) fn guard(&self, partial: Vec<PathBuf>) -> PartialGuard<'_> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.partial = partial;
        PartialGuard(self)
    }

    /// Runs what gives the target its names; nobody cleans up meanwhile.
    pub(crate) fn finish(&self, keep: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keep()?;
        state.pace.stage = Stage::Done;
        state.partial.clear();
        Ok(())
    }
}

pub(crate) struct PartialGuard<'a>(&'a Watch);

impl Drop for PartialGuard<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_are_removed_until_the_target_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let partial = ["one", "two"].map(|name| folder.path().join(name));
        let watch = Watch::default();
        for kept in [false, true] {
            partial.iter().for_each(|path| std::fs::write(path, b"").unwrap());
            let _guard = watch.guard(partial.to_vec());
            if kept {
                watch.finish(|| Ok(())).unwrap();
            }
            assert_eq!(watch.clean_up(), !kept);
            assert!(partial.iter().all(|path| path.exists() == kept));
        }
    }

    #[test]
    fn nobody_cleans_up_while_the_target_gets_its_name() {
        let watch = Watch::default();
        let meanwhile = watch.clone();
        watch
            .finish(|| {
                assert!(!meanwhile.clean_up());
                Ok(())
            })
            .unwrap();
        assert_eq!(watch.pace().stage, Stage::Done);
    }
}
