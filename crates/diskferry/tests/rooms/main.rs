//! The rooms of the house: files look at what they stand on, and at nothing that looks back.
//!
//! What a file looks at is read from its text: `use` lines, and paths in its code. A name that a
//! module only passes on counts as the file that defines it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod source;

use source::{Crate, File};

/// Files of more lines say why, near their beginning.
const MOST_LINES: usize = 400;

/// How a file begins to say why.
const REASON: &str = "Long, because";

/// Where in a file that is, in lines from its beginning.
const BEGINNING: usize = 12;

/// Folders and files in which there are circles yet.
const WITH_CIRCLES: &[&str] = &[];

/// Files that name what the crate's root passes on.
const WITH_ROOT_NAMES: &[&str] = &[];

/// Files that are long without a reason.
const TOO_LONG: &[&str] = &[];

/// The files that the rules are about.
fn rooms() -> [(Crate, &'static str); 3] {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |name: &str| Crate::read(format!("{root}/{name}/src").as_ref());
    [(read("diskferry"), ""), (read("engine"), ""), (read("wrap"), "")]
}

/// Those of them which no exception is for.
fn ruled(exceptions: &'static [&str]) -> impl Iterator<Item = (Crate, Vec<File>)> {
    rooms().into_iter().map(|(krate, room)| {
        let is_ruled = |file: &&File| {
            file.path.starts_with(room) && !exceptions.iter().any(|it| file.path.starts_with(it))
        };
        let files = krate.files.iter().filter(is_ruled).cloned().collect();
        (krate, files)
    })
}

#[test]
fn no_file_looks_at_one_that_looks_back() {
    let circles = ruled(WITH_CIRCLES).flat_map(|(krate, files)| krate.circles(&files));
    assert_eq!(circles.collect::<Vec<_>>(), [[""; 0]; 0]);
}

#[test]
fn no_file_names_what_the_root_passes_on() {
    let names = ruled(WITH_ROOT_NAMES).flat_map(|(krate, files)| {
        let of = |file: &File| {
            let names = krate.names_of_root(file);
            names
                .into_iter()
                .map(|name| format!("{}: crate::{name}", file.path))
                .collect::<Vec<_>>()
        };
        files.iter().flat_map(of).collect::<Vec<_>>()
    });
    assert_eq!(names.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_long_file_says_why() {
    let long = ruled(TOO_LONG).flat_map(|(_, files)| {
        files.into_iter().filter(|file| {
            let mut beginning = file.text.lines().take(BEGINNING);
            file.lines > MOST_LINES && !beginning.any(|line| line.contains(REASON))
        })
    });
    let long = long.map(|file| format!("{}: {} lines", file.path, file.lines));
    assert_eq!(long.collect::<Vec<_>>(), [""; 0]);
}

/// The rules themselves, on a house of a few lines.
#[test]
fn a_circle_is_seen_through_what_passes_names_on() {
    let file = |path: &str, text: &str| File::new(path, text);
    let house = |leaf: &str| {
        Crate::of(vec![
            file("lib.rs", "mod a;\nmod b;\npub use a::Above;\npub use b::leaf::Below;\n"),
            file("a.rs", "use crate::b::{self, Below as Under};\npub struct Above(Under);\n"),
            file(
                "b/mod.rs",
                "pub mod leaf;\npub use self::leaf::Below;\npub(crate) const ONE: u8 = 1;\n",
            ),
            file("b/leaf.rs", leaf),
        ])
    };
    let circle_of = |leaf: &str| {
        let krate = house(leaf);
        krate.circles(&krate.files)
    };
    let own = "pub struct Below;\n";
    let none: [Vec<String>; 0] = [];
    for text in [
        "",
        "use std::fmt;\n",
        "// use crate::a::Above;\n",
        "const A: &str = \"crate::a::Above\";\n",
    ] {
        assert_eq!(circle_of(&format!("{text}{own}")), none, "{text}");
    }
    let test = "#[cfg(test)]\nmod tests {\n    use crate::a::Above;\n}\n";
    assert_eq!(circle_of(&format!("{own}{test}")), none);
    for text in [
        "use crate::a::Above;\n",
        "use crate::{\n    a::{Above as Over},\n};\n",
        "use super::super::a::Above;\n",
        "use crate::Above;\n",
        "fn above() -> crate::a::Above {}\n",
        "use crate::a;\nfn above() -> a::Above {}\n",
        "use crate::a::*;\n",
    ] {
        assert_eq!(circle_of(&format!("{text}{own}")), [["a.rs", "b/leaf.rs"]], "{text}");
    }
    // What is defined in a folder's own file is above what is in the folder.
    let text = "use super::ONE;\n";
    assert_eq!(circle_of(&format!("{text}{own}")), [["b/leaf.rs", "b/mod.rs"]]);
    let krate = house("use crate::{Above, a::Above as Over};\npub struct Below;\n");
    let names = krate.names_of_root(krate.files.last().unwrap());
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["Above"]);
}
