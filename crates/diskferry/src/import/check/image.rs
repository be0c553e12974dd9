//! What an image is: its format and kind, the files that make it.

use diskferry_block_stream::Detail;

use super::finding::{Finding, beside_the_point, said};
use super::row::{Check, Need, Settled};
use crate::format::Format;
use crate::import::facts::Facts;
use crate::import::kind::Subformat;

/// A format that a target takes.
pub(in crate::import) struct Accepts {
    pub format: Format,
    /// Only these kinds of it; all where there are none.
    pub subformats: &'static [Subformat],
}

/// Any kind of a format.
pub(in crate::import) const fn any(format: Format) -> Accepts {
    Accepts { format, subformats: &[] }
}

/// Some kinds of a format.
pub(in crate::import) const fn only(format: Format, subformats: &'static [Subformat]) -> Accepts {
    Accepts { format, subformats }
}

/// One of these formats.
pub(in crate::import) struct Formats(pub &'static [Accepts]);

impl Check for Formats {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Format
    }

    fn judge(&self, facts: &Facts) -> Finding {
        among(self.0, facts)
    }

    fn words(&self) -> String {
        format!("the format is one of: {}", list(self.0))
    }
}

/// Where it is that format, one of these kinds of it.
pub(in crate::import) struct Kind(pub Accepts);

impl Check for Kind {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Plan
    }

    fn judge(&self, facts: &Facts) -> Finding {
        match self.0.format == facts.format {
            true => among(std::slice::from_ref(&self.0), facts),
            false => beside_the_point(&format!("not {}", self.0.format)),
        }
    }

    fn words(&self) -> String {
        format!("a {} is {}", self.0.format, names(self.0.subformats).join(" or "))
    }
}

/// Not in that format.
pub(in crate::import) struct NotFormat(pub Format);

impl Check for NotFormat {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Format
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let format = self.0;
        said(facts.format != format, || format!("not {format}"), || format!("it is {format}"))
    }

    fn words(&self) -> String {
        format!("it is not {}", self.0)
    }
}

/// All of it in one file.
pub(in crate::import) struct OneFile;

impl Check for OneFile {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Plan
    }

    fn judge(&self, facts: &Facts) -> Finding {
        said(
            facts.files == 1,
            || "one file".into(),
            || format!("{} files make the image", facts.files),
        )
    }

    fn words(&self) -> String {
        "the image is one file".into()
    }
}

/// No backing file.
pub(in crate::import) struct NoParent;

impl Check for NoParent {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Plan
    }

    fn judge(&self, facts: &Facts) -> Finding {
        said(
            !facts.has_parent,
            || "no backing file".into(),
            || "it needs a backing file, which would not go along".into(),
        )
    }

    fn words(&self) -> String {
        "it has no backing file".into()
    }
}

/// None of these, which are keys of `info`'s details, with their words.
pub(in crate::import) struct Lacks(pub &'static [(&'static str, &'static str)]);

impl Check for Lacks {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Plan
    }

    fn judge(&self, facts: &Facts) -> Finding {
        let has = |key: &str| {
            let mut details = facts.details.iter();
            details.any(|(name, detail)| *name == key && !matches!(detail, Detail::Flag(false)))
        };
        let found = self.0.iter().filter(|(key, _)| has(key));
        let found: Vec<&str> = found.map(|(_, words)| *words).collect();
        said(found.is_empty(), || "nothing of the kind".into(), || found.join(", "))
    }

    fn words(&self) -> String {
        let words: Vec<&str> = self.0.iter().map(|(_, words)| *words).collect();
        format!("it has none of: {}", words.join(", "))
    }
}

/// A raw image with the file beside it that the target wants for each.
pub(in crate::import) struct RawCompanion(pub &'static str);

impl Check for RawCompanion {
    fn needs(&self) -> Need {
        Need::Image
    }

    fn settled(&self) -> Settled {
        Settled::Plan
    }

    fn judge(&self, facts: &Facts) -> Finding {
        said(
            facts.format != Format::RAW,
            || "not raw".into(),
            || format!("a raw image needs {}", self.0),
        )
    }

    fn words(&self) -> String {
        format!("a raw image has {}", self.0)
    }
}

fn among(accepted: &[Accepts], facts: &Facts) -> Finding {
    let own = facts.told();
    let mut same = accepted.iter().filter(|accepts| accepts.format == facts.format);
    let takes = |it: &Accepts| {
        it.subformats.is_empty()
            || facts.subformat().is_some_and(|own| it.subformats.contains(&own))
    };
    // Which kind it is, nobody knows.
    if facts.is_unopened && same.clone().next().is_some() {
        return Finding::Unknown("it could not be opened".into());
    }
    said(same.any(takes), || own.clone(), || format!("{own} is not among: {}", list(accepted)))
}

fn list(accepted: &[Accepts]) -> String {
    let words = accepted.iter().map(|Accepts { format, subformats }| match subformats {
        [] => format.name().to_owned(),
        some => format!("{format} ({})", names(some).join(", ")),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn names(subformats: &[Subformat]) -> Vec<&'static str> {
    subformats.iter().map(|it| it.name()).collect()
}
