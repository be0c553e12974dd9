//! What a piece of work shares with whoever started it: a way to stop it, how far it is, what it is doing, and what it
//! would leave behind.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use diskferry_block_stream::{Cancel, Error, Progress, Result};

/// A handle on running work, for a progress display and for a signal handler. Clones are handles on the same work.
///
/// To stop a piece of work takes its [`cancel`](Self::cancel), and then a moment. Where that moment is not to be had,
/// because a read hangs on a dead network file system, say, [`undo`](Self::undo) removes what the work would leave
/// behind, and the process can exit.
#[derive(Clone, Default)]
pub struct Control {
    /// Stops the work.
    pub cancel: Cancel,
    /// How far it is.
    pub progress: Progress,
    state: Arc<Mutex<State>>,
}

/// Removes what a piece of work would leave behind. Nobody is left to be told that it cannot be removed.
pub type Undo = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    pace: Pace,
    /// What removes the target while it has no name. Whoever holds the lock may give it one.
    undo: Option<Undo>,
    /// Somebody has undone it: what is still being made gets no name any more.
    over: bool,
}

/// What is being done, and what the `Progress` counted before that. A stage's own part is
/// what was counted since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// What is being done.
    pub stage: Stage,
    /// Bytes that all stages before this one expected to pass.
    pub total_before: u64,
    /// Bytes that passed in all stages before this one.
    pub passed_before: u64,
}

/// What is being done. Only conversions go from one to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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

impl Control {
    /// A part of the work, with the same progress, that can be stopped alone.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { cancel: self.cancel.part(), ..self.clone() }
    }

    /// What is being done.
    pub fn pace(&self) -> Pace {
        self.state().pace
    }

    /// Removes what would be left behind, if there is any. The work cannot succeed after that.
    ///
    /// Returns false when it is too late: the target has its name, or is being given it.
    pub fn undo(&self) -> bool {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        if state.pace.stage == Stage::Done {
            return false;
        }
        state.over = true;
        if let Some(undo) = state.undo.take() {
            undo();
        }
        true
    }

    /// From now on that is being done.
    pub fn enter(&self, stage: Stage) {
        let (total_before, passed_before) = (self.progress.total(), self.progress.passed());
        self.state().pace = Pace { stage, total_before, passed_before };
    }

    /// Knows how to [`undo`](Self::undo) the work for as long as the guard lives, which does it itself unless the work
    /// is [finished](Self::finish) by then.
    pub fn undoing(&self, undo: Undo) -> Undoing<'_> {
        self.state().undo = Some(undo);
        Undoing(self)
    }

    /// Runs what gives the target its names; nobody undoes it meanwhile.
    ///
    /// # Errors
    /// `Cancelled` where somebody has, and those of `keep`.
    pub fn finish(&self, keep: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = self.state();
        if state.over {
            return Err(Error::cancelled());
        }
        keep()?;
        state.pace.stage = Stage::Done;
        state.undo = None;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For as long as this lives, the work can be [undone](Control::undo). It is, where this is dropped before the work is
/// [finished](Control::finish).
pub struct Undoing<'a>(&'a Control);

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cancel, progress, .. } = self;
        f.debug_struct("Control")
            .field("cancel", cancel)
            .field("progress", progress)
            .finish_non_exhaustive()
    }
}

impl Drop for Undoing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if let Some(undo) = state.undo.take() {
            undo();
        }
    }
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::ErrorKind;

    use super::*;

    #[test]
    fn what_is_undone_gets_no_name_any_more() {
        let control = Control::default();
        assert!(control.undo());
        let error = control.finish(|| panic!("it gets its name")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_ne!(control.pace().stage, Stage::Done);

        let control = Control::default();
        control.finish(|| Ok(())).unwrap();
        assert!(!control.undo());
    }

    #[test]
    fn what_is_not_finished_is_undone_once() {
        use std::sync::atomic::{AtomicU8, Ordering};
        for (by_hand, finished, times) in [(false, false, 1), (true, false, 1), (false, true, 0)] {
            let control = Control::default();
            let count = Arc::new(AtomicU8::new(0));
            let counted = Arc::clone(&count);
            let guard =
                control.undoing(Box::new(move || _ = counted.fetch_add(1, Ordering::Relaxed)));
            if by_hand {
                assert!(control.undo());
            }
            if finished {
                control.finish(|| Ok(())).unwrap();
            }
            drop(guard);
            assert_eq!(count.load(Ordering::Relaxed), times);
        }
    }

    #[test]
    fn nobody_undoes_it_while_the_target_gets_its_name() {
        let control = Control::default();
        let meanwhile = control.clone();
        control
            .finish(|| {
                assert!(!meanwhile.undo());
                Ok(())
            })
            .unwrap();
        assert_eq!(control.pace().stage, Stage::Done);
    }
}
