//! What one opening of an image may still take.
//!
//! What is spent is a guard that lies beside the memory it was spent on, and gives it back when both go. So a
//! service may open images with the same [`Limits`] for as long as it likes.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Limits, Remedy, Result};

/// What one opening may take of the memory that its [`Limits`] allow: the image, its chain and all that it is wrapped
/// in have one together.
///
/// A clone is the same budget.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<Account>);

#[derive(Debug, Default)]
struct Account {
    limits: Limits,
    /// Bytes of tables that are spent: `limits.metadata` at most.
    tables: AtomicU64,
    /// Bytes of windows that are spent: `limits.window` at most.
    windows: AtomicU64,
}

impl Budget {
    /// Of which nothing is spent.
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Account { limits, ..Account::default() }))
    }

    /// The bounds that it keeps.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Spends `bytes` for the memory of a table, before it is allocated.
    ///
    /// # Errors
    /// `Limit` when there is not as much left.
    pub fn spend(&self, what: &'static str, bytes: u64) -> Result<Spent> {
        let mut spent = self.nothing();
        spent.more(what, bytes)?;
        Ok(spent)
    }

    /// Nothing yet: for what is added to later.
    pub fn nothing(&self) -> Spent {
        Spent { budget: self.clone(), bytes: 0 }
    }

    /// A value that memory is spent on later, as it grows.
    pub fn hold<T>(&self, value: T) -> Held<T> {
        self.nothing().on(value)
    }

    /// The window of a decompressor, of no bytes yet.
    pub fn window(&self) -> Window {
        Window { budget: self.clone(), bytes: 0 }
    }
}

/// Memory that is spent for tables, until this is dropped.
#[must_use = "what is spent is given back when this is dropped"]
#[derive(Debug)]
pub struct Spent {
    budget: Budget,
    bytes: u64,
}

impl Spent {
    /// How much it is; no more than memory can be addressed with.
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Spends more, before it is allocated.
    ///
    /// # Errors
    /// `Limit` when there is not as much left; nothing more is spent then.
    pub fn more(&mut self, what: &'static str, bytes: u64) -> Result<()> {
        let Account { limits, tables, .. } = &*self.budget.0;
        let all = |spent: u64| spent.checked_add(bytes).filter(|all| *all <= limits.metadata);
        let is_addressed =
            self.bytes.checked_add(bytes).is_some_and(|all| usize::try_from(all).is_ok());
        if !is_addressed || tables.fetch_update(Ordering::Relaxed, Ordering::Relaxed, all).is_err()
        {
            let what = format!("{what} takes {bytes} bytes, past the bound on table memory");
            return Err(Limits::reached("metadata", what));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Adds what is spent of the same budget elsewhere.
    pub fn join(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.budget.0, &other.budget.0));
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back what is more than `bytes`.
    pub fn keep(&mut self, bytes: u64) {
        let rest = self.bytes.saturating_sub(bytes);
        self.budget.0.tables.fetch_sub(rest, Ordering::Relaxed);
        self.bytes -= rest;
    }

    /// What it is spent on, with it.
    pub fn on<T>(self, value: T) -> Held<T> {
        Held { value, spent: self }
    }
}

impl Drop for Spent {
    fn drop(&mut self) {
        self.keep(0);
    }
}

/// A table, or what else takes memory, with what is spent on it.
#[derive(Debug)]
pub struct Held<T> {
    value: T,
    spent: Spent,
}

impl<T> Held<T> {
    /// Spends more on it, before it grows.
    ///
    /// # Errors
    /// `Limit` when there is not as much left; nothing more is spent then.
    pub fn spend(&mut self, what: &'static str, bytes: u64) -> Result<()> {
        self.spent.more(what, bytes)
    }

    /// Keeps with it what is spent of the same budget on a part of it.
    pub fn join(&mut self, spent: Spent) {
        self.spent.join(spent);
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<'a, T> IntoIterator for &'a Held<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.value.into_iter()
    }
}

/// What a decompressor remembers of what it gave: memory that is spent until this is dropped.
#[derive(Debug)]
pub struct Window {
    budget: Budget,
    bytes: u64,
}

impl Window {
    /// Spends what makes it `bytes` large, before it is, where it is smaller. The windows of all layers of wrappers
    /// are counted together.
    ///
    /// # Errors
    /// `Limit` when there is not as much left; it says what wants it, and the bound that would do.
    pub fn widen(&mut self, what: impl fmt::Display, bytes: u64) -> Result<()> {
        let Account { limits, windows, .. } = &*self.budget.0;
        let (most, more) = (limits.window, bytes.saturating_sub(self.bytes));
        let all = |spent: u64| spent.checked_add(more).filter(|all| *all <= most);
        let spent = windows.fetch_update(Ordering::Relaxed, Ordering::Relaxed, all);
        spent.map_err(|spent| {
            let beside = match spent.saturating_sub(self.bytes) {
                0 => String::new(),
                others => format!(" beside {others} of others"),
            };
            let text = format!("{what}{beside}, past the bound of {most}");
            // A bound is a whole number of MiB.
            match spent.saturating_add(more).checked_next_multiple_of(1 << 20) {
                Some(wanted) if wanted <= Limits::MOST_WINDOW => Error::limit(text)
                    .mended_by(Remedy::RaiseLimit { limit: "window".to_owned(), to: Some(wanted) }),
                _ => Error::limit(format!("{text}; no bound may be as large")),
            }
        })?;
        self.bytes += more;
        Ok(())
    }

    /// Gives all of it back.
    pub fn close(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.budget.0.windows.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_given_back_with_what_it_was_spent_on() {
        let limits = Limits::default().with_metadata(10);
        let budget = limits.budget();
        let mut table = budget.hold(Vec::<u8>::new());
        table.spend("a table", 6).unwrap();
        table.extend([7; 6]);
        let error = budget.clone().spend("another", 5).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Limit);
        assert_eq!(error.remedy(), Some(&raise("metadata", None)), "{error}");
        assert!(table.spend("a table", u64::MAX).is_err());
        // Another opening has a budget of its own.
        assert_eq!(limits.budget().spend("a table", 10).unwrap().bytes(), 10);
        let mut other = budget.spend("another", 4).unwrap();
        other.keep(1);
        other.keep(3);
        let third = budget.spend("a third", 3).unwrap();
        table.join(third);
        assert!(budget.spend("a fourth", 1).is_err());
        drop((table, other));
        assert_eq!(budget.spend("all", 10).unwrap().bytes(), 10);
    }

    #[test]
    fn windows_are_counted_together_and_the_bound_that_does_is_named() {
        let budget = Limits::default().budget();
        let (mut first, mut deeper) = (budget.window(), budget.clone().window());
        first.widen("a window of 128 MiB", 128 << 20).unwrap();
        deeper.widen("a window of 128 MiB", 128 << 20).unwrap();
        let told = |window: &mut Window, bytes: u64| {
            let error = window.widen("a window", bytes).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Limit);
            (error.to_string(), error.remedy().cloned())
        };
        let (by_others, remedy) = told(&mut budget.window(), 1);
        assert!(by_others.ends_with("of others, past the bound of 268435456"), "{by_others}");
        assert_eq!(remedy, Some(raise("window", Some(257 << 20))));
        // What it has itself is not taken twice, nor another's.
        let (wider, remedy) = told(&mut first, 200 << 20);
        assert!(wider.contains("beside 134217728 of others"), "{wider}");
        assert_eq!(remedy, Some(raise("window", Some(328 << 20))));
        first.widen("a smaller one", 1 << 20).unwrap();
        first.close();
        budget.window().widen("a window", 128 << 20).unwrap();
        drop((first, deeper));
        for (bytes, does) in [
            ((256 << 20) + 1, Some(257 << 20)),
            (2 << 30, Some(2 << 30)),
            (3 << 29, Some(3 << 29)),
            (4 << 30, Some(4 << 30)),
            ((4 << 30) + 1, None),
            (u64::MAX, None),
        ] {
            let (text, remedy) = told(&mut budget.window(), bytes);
            assert_eq!(remedy, does.map(|bound| raise("window", Some(bound))), "{text}");
            assert!(text.contains("the bound of 268435456"), "{text}");
            assert_eq!(text.ends_with("no bound may be as large"), does.is_none(), "{text}");
        }
    }

    fn raise(limit: &str, to: Option<u64>) -> Remedy {
        Remedy::RaiseLimit { limit: limit.to_owned(), to }
    }
}
