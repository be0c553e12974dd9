//! A crate's files, and what each looks at, as far as its text tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A crate without its tests.
pub struct Crate {
    pub files: Vec<File>,
    /// Which file a module is, by its path: `["import", "facts"]`.
    modules: BTreeMap<Vec<String>, usize>,
}

/// A file of a crate, which is a module.
#[derive(Clone)]
pub struct File {
    /// Below the crate's `src`.
    pub path: String,
    /// Its text, without comments, strings and tests.
    pub text: String,
    /// Its lines, without tests.
    pub lines: usize,
    module: Vec<String>,
    code: String,
    /// What it calls something, and the path that this has.
    uses: Vec<(String, Vec<String>)>,
    /// What it defines itself.
    own: BTreeSet<String>,
}

/// What a path leads to.
enum Target {
    Module(Vec<String>),
    /// A thing, in that file.
    Thing(usize),
}

impl Crate {
    /// Reads all files below a folder.
    pub fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        let mut folders = vec![src.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(src).unwrap().to_str().unwrap();
                let is_test = name.split(['/', '.']).any(|part| part == "tests");
                if is_test {
                    continue;
                } else if path.is_dir() {
                    folders.push(path);
                } else if name.ends_with(".rs") {
                    files.push(File::new(name, &fs::read_to_string(&path).unwrap()));
                }
            }
        }
        assert!(!files.is_empty(), "{}", src.display());
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self::of(files)
    }

    pub fn of(files: Vec<File>) -> Self {
        let modules = files.iter().enumerate().map(|(index, file)| (file.module.clone(), index));
        Self { modules: modules.collect(), files }
    }

    /// The circles of these files, each as the names of its files in order.
    pub fn circles(&self, files: &[File]) -> Vec<Vec<String>> {
        let index = |file: &File| self.modules[&file.module];
        let nodes: BTreeSet<usize> = files.iter().map(index).collect();
        let looks_at: BTreeMap<usize, BTreeSet<usize>> = nodes
            .iter()
            .map(|&node| (node, self.looks_at(node).intersection(&nodes).copied().collect()))
            .collect();
        let reaches = |from: usize| {
            let mut reached = BTreeSet::new();
            let mut ahead = vec![from];
            while let Some(node) = ahead.pop() {
                ahead.extend(looks_at[&node].iter().filter(|next| reached.insert(**next)));
            }
            reached
        };
        let reached: BTreeMap<usize, BTreeSet<usize>> =
            nodes.iter().map(|&node| (node, reaches(node))).collect();
        let circle = |node: &usize| {
            let back = |other: &&usize| reached[other].contains(node);
            let circle: Vec<usize> = reached[node].iter().filter(back).copied().collect();
            // Each circle once, by its first.
            (circle.first() == Some(node)).then_some(circle)
        };
        let circles = nodes.iter().filter_map(circle);
        let names = |circle: Vec<usize>| {
            let mut names: Vec<String> =
                circle.into_iter().map(|node| self.files[node].path.clone()).collect();
            names.sort();
            names
        };
        circles.map(names).collect()
    }

    /// Names which a file has from the crate's root, and which are no modules.
    pub fn names_of_root(&self, file: &File) -> BTreeSet<String> {
        let uses = file.uses.iter().map(|(_, path)| path.clone());
        let named = uses.chain(paths(&file.code)).filter_map(|path| match path.as_slice() {
            [first, name, ..] if first == "crate" => Some(name.clone()),
            _ => None,
        });
        named.filter(|name| !self.modules.contains_key(std::slice::from_ref(name))).collect()
    }

    fn looks_at(&self, file: usize) -> BTreeSet<usize> {
        let File { module, uses, code, .. } = &self.files[file];
        let used = uses.iter().map(|(_, path)| path.clone());
        let mut found = BTreeSet::new();
        for path in used.chain(paths(code)) {
            // A module's name alone shows nothing yet; a path that begins with it will.
            if let Some(Target::Thing(other)) = self.resolve(module, &path, 0) {
                found.insert(other);
            }
        }
        found.remove(&file);
        found
    }

    /// What a path leads to that stands in a module; nothing where it leads out of the crate.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<Target> {
        // Whoever passes names on in a circle leads nowhere.
        if depth > 16 {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let parent = module.split_last().map(|(_, parent)| parent.to_vec());
        let target = match first.as_str() {
            "crate" => Target::Module(Vec::new()),
            "self" => Target::Module(module.to_vec()),
            "super" => Target::Module(parent?),
            name => self.named(module, name, depth)?,
        };
        self.follow(target, rest, depth)
    }

    fn follow(&self, from: Target, rest: &[String], depth: usize) -> Option<Target> {
        let (Target::Module(module), Some((first, rest))) = (&from, rest.split_first()) else {
            return Some(from);
        };
        let next = match first.as_str() {
            "self" => Target::Module(module.clone()),
            "super" => Target::Module(module.split_last()?.1.to_vec()),
            // All that a module has: that is the module itself.
            "*" => Target::Thing(self.modules[module]),
            name => self.named(module, name, depth)?,
        };
        self.follow(next, rest, depth)
    }

    /// What a module calls so.
    fn named(&self, module: &[String], name: &str, depth: usize) -> Option<Target> {
        let child = [module, &[name.to_owned()]].concat();
        if self.modules.contains_key(&child) {
            return Some(Target::Module(child));
        }
        let index = *self.modules.get(module)?;
        let file = &self.files[index];
        if file.own.contains(name) {
            return Some(Target::Thing(index));
        }
        let by_name = file.passed(name).find_map(|path| self.resolve(module, path, depth + 1));
        let of_glob = |path: &Vec<String>| {
            let (_, glob) = path.split_last()?;
            let Target::Module(all) = self.resolve(module, glob, depth + 1)? else { return None };
            self.named(&all, name, depth + 1)
        };
        by_name.or_else(|| file.passed("*").find_map(of_glob))
    }
}

impl File {
    pub fn new(path: &str, text: &str) -> Self {
        let bare = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let parts = bare.split('/').map(str::to_owned);
        let module = if bare == "lib" { Vec::new() } else { parts.collect() };
        // By the house's style tests are last.
        let own = text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(own, _)| own);
        let code = code(own);
        let (used, code) = split_uses(&code);
        let uses = used.iter().flat_map(|tree| leaves(tree)).collect();
        Self {
            path: path.to_owned(),
            lines: own.lines().count(),
            text: own.to_owned(),
            module,
            uses,
            own: definitions(&code),
            code,
        }
    }

    /// The paths of what it calls so.
    fn passed(&self, name: &str) -> impl Iterator<Item = &Vec<String>> {
        self.uses.iter().filter(move |(it, _)| it == name).map(|(_, path)| path)
    }
}

/// A text without its comments and without what is in strings.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = match next {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            'r' if rest.starts_with("r\"") => rest[2..].find('"').map_or(rest.len(), |end| end + 3),
            'r' if rest.starts_with("r#\"") => {
                rest[3..].find("\"#").map_or(rest.len(), |end| end + 5)
            }
            '"' => string(rest),
            '\'' if rest.starts_with("'\"'") => 3,
            '\'' if rest.starts_with(r"'\") => rest[2..].find('\'').map_or(2, |end| end + 3),
            other => {
                code.push(other);
                rest = &rest[other.len_utf8()..];
                continue;
            }
        };
        rest = &rest[skipped..];
    }
    code
}

/// How long a string is that a text begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The trees of all `use` lines, and what else there is.
fn split_uses(code: &str) -> (Vec<String>, String) {
    let (mut trees, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let bare = line.trim_start();
        let after = bare.strip_prefix("pub").map_or(bare, |rest| {
            let rest = rest.trim_start();
            rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, it)| it)
        });
        let Some(tree) = after.trim_start().strip_prefix("use ") else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            tree.push_str(lines.next().expect("a use ends"));
        }
        trees.push(tree.replace(';', ""));
    }
    (trees, rest)
}

/// The names that a `use` makes, and their paths.
fn leaves(tree: &str) -> Vec<(String, Vec<String>)> {
    let tree = tree.trim().trim_start_matches("::");
    if let Some((front, group)) = tree.split_once('{') {
        let group = group.trim_end().trim_end_matches('}');
        let front: Vec<String> = segments(front);
        let grown = |(name, path): (String, Vec<String>)| match (path.as_slice(), front.last()) {
            ([own], Some(last)) if own == "self" => {
                (if name == "self" { last.clone() } else { name }, front.clone())
            }
            _ => (name, [front.clone(), path].concat()),
        };
        return parts(group).into_iter().flat_map(leaves).map(grown).collect();
    }
    let (path, alias) = match tree.split_once(" as ") {
        Some((path, alias)) => (segments(path), Some(alias.trim().to_owned())),
        None => (segments(tree), None),
    };
    let Some(name) = alias.or_else(|| path.last().cloned()) else { return Vec::new() };
    vec![(name, path)]
}

/// The parts of a group, at its own commas.
fn parts(group: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, next) in group.char_indices() {
        match next {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[from..]);
    parts
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The paths of a code, of two segments at least.
fn paths(code: &str) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || "_:".contains(c);
    let words = code.split(|c: char| !is_path(c));
    words.map(|word| segments(word.trim_end_matches(':'))).filter(|path| path.len() > 1).collect()
}

/// What stands at the margin of a code.
fn definitions(code: &str) -> BTreeSet<String> {
    const KINDS: [&str; 8] = ["fn", "struct", "enum", "trait", "const", "static", "type", "union"];
    let name = |line: &str| {
        let mut words = line.split(|c: char| c.is_whitespace() || "<(:;={".contains(c));
        words.find(|word| KINDS.contains(word))?;
        // `const fn` is both.
        words.find(|word| !word.is_empty() && !KINDS.contains(word)).map(str::to_owned)
    };
    let at_margin = |line: &&str| !line.starts_with([' ', '}', '#']) && !line.starts_with("impl");
    code.lines().filter(at_margin).filter_map(name).collect()
}
