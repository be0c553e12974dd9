//! The names of the pieces of a file that was cut: `disk.raw.001`, `disk.raw.00`, `disk.raw.aa`, and the next ones.
//!
//! 7-Zip and others count from 001, and go on from 999 with 1000. GNU split counts in letters, or with `-d` in
//! digits from 00; before its two places are used up it goes on with more of them (yz, zaaa; 89, 9000; 9899,
//! 990000: `next_file_name` in coreutils' `split.c`), unless their count was asked for.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path whose name may be that of a piece.
#[derive(Clone)]
pub(super) struct Numbered {
    path: PathBuf,
    /// The name up to the number, with the dot.
    stem: Vec<u8>,
    number: Vec<u8>,
    signs: Signs,
}

/// What is counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signs {
    Digits,
    Letters,
}

impl Signs {
    fn of(number: &[u8]) -> Option<Self> {
        let all = |is: fn(&u8) -> bool| number.iter().all(is);
        // With six places, GNU split begins at 99 or zz.
        let is_number = match number.len() {
            2..=4 => true,
            6 => number.starts_with(b"99") || number.starts_with(b"zz"),
            _ => false,
        };
        match is_number {
            true if all(u8::is_ascii_digit) => Some(Self::Digits),
            true if all(u8::is_ascii_lowercase) => Some(Self::Letters),
            _ => None,
        }
    }

    fn lowest(self) -> u8 {
        match self {
            Self::Digits => b'0',
            Self::Letters => b'a',
        }
    }

    fn highest(self) -> u8 {
        match self {
            Self::Digits => b'9',
            Self::Letters => b'z',
        }
    }
}

impl Numbered {
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.as_bytes();
        let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0)?;
        let (stem, number) = (name[..=dot].to_vec(), name[dot + 1..].to_vec());
        let signs = Signs::of(&number)?;
        Some(Self { path: path.to_owned(), stem, number, signs })
    }

    fn with(&self, number: Vec<u8>) -> Self {
        let name = OsString::from_vec([&self.stem[..], &number].concat());
        let (path, stem) = (self.path.with_file_name(name), self.stem.clone());
        Self { path, stem, number, signs: self.signs }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What messages call it: without its folder.
    pub fn shown(&self) -> String {
        self.path.file_name().unwrap_or_default().display().to_string()
    }

    pub fn is_there(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    pub fn folder(&self) -> &Path {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new("."))
    }

    /// Whether it may be the first piece. Some count from 0.
    pub fn is_first(&self) -> bool {
        self.firsts_of(self.number.len()).contains(&self.number)
    }

    /// What may be the first piece before this one.
    pub fn firsts(&self) -> Vec<Self> {
        let places = self.number.len();
        // Numbers that need all their places may have begun with fewer.
        let is_full = self.number[0] != self.signs.lowest();
        let fewer = if is_full { 2 } else { places };
        let firsts = (fewer..=places).rev().flat_map(|places| self.firsts_of(places));
        firsts.take_while(|first| *first != self.number).map(|first| self.with(first)).collect()
    }

    fn firsts_of(&self, places: usize) -> Vec<Vec<u8>> {
        let lowest = vec![self.signs.lowest(); places];
        match self.signs {
            Signs::Letters => vec![lowest],
            Signs::Digits => {
                let one = [&lowest[1..], b"1"].concat();
                vec![lowest, one]
            }
        }
    }

    /// The pieces that may follow this one.
    pub fn next(&self) -> Vec<Self> {
        [self.counted_on(), self.widened()].into_iter().flatten().map(|it| self.with(it)).collect()
    }

    /// The piece before this one, of as many places.
    pub fn previous(&self) -> Option<Self> {
        let mut number = self.number.clone();
        for place in number.iter_mut().rev() {
            if *place > self.signs.lowest() {
                *place -= 1;
                return Some(self.with(number));
            }
            *place = self.signs.highest();
        }
        None
    }

    /// Whether nothing but a piece has such a number, whatever is beside it: others are those of versions
    /// and years.
    pub fn is_padded(&self) -> bool {
        self.signs == Signs::Digits && self.number.len() > 2 && self.number[0] == b'0'
    }

    /// Whether it is that of a piece where the one before it or behind it is there, too. Years stand in a row.
    pub fn is_one_in_a_row(&self) -> bool {
        let beside = self.previous().into_iter().chain(self.next());
        let is_a_year = self.signs == Signs::Digits && self.number.len() > 3;
        !is_a_year && beside.into_iter().any(|it| it.is_there())
    }

    /// Whether letters are counted in: every name with an extension may have such a number.
    pub fn is_in_letters(&self) -> bool {
        self.signs == Signs::Letters
    }

    /// The piece of the number that a name in the folder has behind this one's, where it has one of as many
    /// digits, and a higher one.
    pub fn behind(&self, name: &OsStr) -> Option<Self> {
        let number = name.as_bytes().strip_prefix(&self.stem[..])?;
        let is_behind = number.len() == self.number.len() && number > &self.number[..];
        (is_behind && Signs::of(number) == Some(self.signs)).then(|| self.with(number.to_vec()))
    }

    /// Whether it comes before another of as many places.
    pub fn is_before(&self, other: &Self) -> bool {
        self.number < other.number
    }

    fn counted_on(&self) -> Option<Vec<u8>> {
        let mut number = self.number.clone();
        for place in number.iter_mut().rev() {
            if *place < self.signs.highest() {
                *place += 1;
                return Some(number);
            }
            *place = self.signs.lowest();
        }
        (self.signs == Signs::Digits).then(|| [&b"1"[..], &number].concat())
    }

    /// What GNU split has behind it, where its places are as good as used up.
    fn widened(&self) -> Option<Vec<u8>> {
        let (lowest, highest) = (self.signs.lowest(), self.signs.highest());
        let used = self.number.len().checked_sub(2)? / 2;
        let (before, rest) = self.number.split_at(used);
        let is_last = rest.len() == used + 2
            && rest[0] == highest - 1
            && before.iter().chain(&rest[1..]).all(|sign| *sign == highest);
        is_last.then(|| [vec![highest; used + 1], vec![lowest; used + 3]].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(pieces: impl IntoIterator<Item = Numbered>) -> Vec<String> {
        pieces.into_iter().map(|it| String::from_utf8(it.number).unwrap()).collect()
    }

    #[test]
    fn what_follows_is_what_the_writers_of_pieces_have_there() {
        for (name, next) in [
            ("x.001", &["002"][..]),
            ("x.009", &["010"]),
            ("x.999", &["1000"]),
            ("x.00", &["01"]),
            ("x.89", &["90", "9000"]),
            ("x.9899", &["9900", "990000"]),
            ("x.899", &["900"]),
            ("x.aa", &["ab"]),
            ("x.az", &["ba"]),
            ("x.yz", &["za", "zaaa"]),
            ("x.zz", &[]),
        ] {
            let numbered = Numbered::of(Path::new(name)).unwrap();
            assert_eq!(numbers(numbered.next()), next, "{name}");
        }
        // Numbers go on growing from those that are no longer taken for a first piece's.
        let piece = Numbered::of(Path::new("a/x.9899")).unwrap().next().remove(1);
        assert_eq!(numbers(piece.next()), ["990001"]);
        assert_eq!(piece.path(), Path::new("a/x.990000"));
    }

    #[test]
    fn a_first_piece_is_known_by_its_name() {
        for (name, is_first, firsts) in [
            ("x.000", true, &[][..]),
            ("x.001", true, &["000"]),
            ("x.002", false, &["000", "001"]),
            ("x.1000", false, &["0000", "0001", "000", "001", "00", "01"]),
            ("x.01", true, &["00"]),
            ("x.aa", true, &[]),
            ("x.img", false, &["aaa", "aa"]),
        ] {
            let numbered = Numbered::of(Path::new(name)).unwrap();
            assert_eq!(numbered.is_first(), is_first, "{name}");
            assert_eq!(numbers(numbered.firsts()), firsts, "{name}");
        }
        for name in
            ["x.1", "x.00001", "001", ".001", "x.0a", "x.AA", "x.qcow2", "x.202611", "x.001/", ""]
        {
            let numbered = Numbered::of(Path::new(name));
            assert_eq!(numbered.is_some(), name == "x.001/", "{name}");
        }
    }

    #[test]
    fn what_is_before_a_piece_has_as_many_places() {
        for (name, previous) in [("x.010", Some("009")), ("x.000", None), ("x.ba", Some("az"))] {
            let numbered = Numbered::of(Path::new(name)).unwrap();
            assert_eq!(numbers(numbered.previous()), previous.into_iter().collect::<Vec<_>>());
        }
    }
}
