//! What a conversion shares with whoever watches it, or has to end it at once.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use diskferry_block_stream::{Error, Progress, Result};
use diskferry_engine::Entry;

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
    /// The temporary names, while there are any. Whoever holds the lock may give the files their
    /// final ones.
    temporary: Vec<Entry>,
    /// Somebody has cleaned up: what is still being made gets no name any more.
    over: bool,
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
        state.over = true;
        for entry in state.temporary.drain(..) {
            // Nobody is left to be told that it cannot be removed.
            let _ = entry.remove();
        }
        true
    }

    pub(crate) fn enter(&self, stage: Stage, progress: &Progress) {
        let (total_before, passed_before) = (progress.total(), progress.passed());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.pace = Pace { stage, total_before, passed_before };
    }

    /// Knows the temporary names for as long as the guard lives.
    pub(crate) fn guard(&self, temporary: Vec<Entry>) -> TemporaryGuard<'_> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.temporary = temporary;
        TemporaryGuard(self)
    }

    /// Runs what gives the target its names; nobody cleans up meanwhile.
    pub(crate) fn finish(&self, keep: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.over {
            return Err(Error::cancelled());
        }
        keep()?;
        state.pace.stage = Stage::Done;
        state.temporary.clear();
        Ok(())
    }
}

pub(crate) struct TemporaryGuard<'a>(&'a Watch);

impl Drop for TemporaryGuard<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).temporary.clear();
    }
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::ErrorKind;

    use super::*;

    #[test]
    fn what_is_cleaned_up_gets_no_name_any_more() {
        let watch = Watch::default();
        assert!(watch.clean_up());
        let error = watch.finish(|| panic!("it gets its name")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_ne!(watch.pace().stage, Stage::Done);

        let watch = Watch::default();
        watch.finish(|| Ok(())).unwrap();
        assert!(!watch.clean_up());
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
