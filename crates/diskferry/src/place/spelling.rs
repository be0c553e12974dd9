//! QEMU's ways to write the name of a file, as it puts them into qcow2 images: `file:base.raw`, and
//! `json:{"driver":"qcow2","file":{"driver":"file","filename":"base.qcow2"}}`.
//!
//! Only what comes to the name of a plain file is taken, to be judged like that name; QEMU looks for it in the
//! folder that it runs in, we beside the image. A description that would change what is read (a part of the file,
//! a key, another protocol), or that has anything unknown in it, is refused.
//!
//! Source: QEMU, `block.c` (`bdrv_fill_options`), `qapi/block-core.json` (`BlockdevOptions`).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use diskferry_block_stream::{Error, Result};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

/// What such a name means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spelled {
    /// The file's path.
    pub name: OsString,
    /// The format that it is to be read as.
    pub format: Option<String>,
}

/// Reads the name of an image's `role`; `None` where it stands for itself.
///
/// # Errors
/// `Refused` for JSON that says more than the name of a plain file and its format.
pub(crate) fn read(role: &'static str, name: &OsStr) -> Result<Option<Spelled>> {
    let bytes = name.as_bytes();
    if let Some(path) = bytes.strip_prefix(b"file:") {
        return Ok(Some(Spelled { name: literal(path), format: None }));
    }
    let Some(text) = bytes.strip_prefix(b"json:") else { return Ok(None) };
    described(text).map(Some).map_err(|why| {
        let shown: String = name.to_string_lossy().chars().take(SHOWN).collect();
        Error::refused(format!(
            "the {role} '{shown}' is described by JSON, which is never followed but for the name of a plain \
             file: {why}"
        ))
    })
}

/// Bytes of JSON: as much as a path and every key that QEMU writes beside it.
const LONGEST: usize = 8192;

/// Characters of a name in a message.
const SHOWN: usize = 200;

/// A path that is one whatever it looks like.
fn literal(path: &[u8]) -> OsString {
    let prefix: &[u8] = if path.contains(&b':') && !path.starts_with(b"/") { b"./" } else { b"" };
    OsString::from_vec([prefix, path].concat())
}

fn described(text: &[u8]) -> Result<Spelled, String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut options = BTreeMap::new();
    flatten("", value, &mut options)?;
    let mut text = |key: &str| match options.remove(key) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its '{key}' is no text")),
    };
    let driver = text("driver")?;
    // The file may be described alone, or as what a format is in.
    let inner = if driver.as_deref() == Some("file") { "" } else { "file." };
    if !inner.is_empty()
        && let Some(protocol) = text("file.driver")?.filter(|protocol| protocol != "file")
    {
        return Err(format!("it is a file of the driver '{protocol}'"));
    }
    let path = text(&format!("{inner}filename"))?.ok_or("it names no file")?;
    for (key, value) in &options {
        let known = match key.strip_prefix("file.") {
            Some(own) if !inner.is_empty() => is_any(own, &[&EVERY, &FILE]),
            _ if inner.is_empty() => is_any(key, &[&EVERY, &FILE]),
            _ if driver.as_deref() == Some("qcow2") => is_any(key, &[&EVERY, &QCOW2]),
            _ => is_any(key, &[&EVERY]),
        };
        if !known || !matches!(value, Value::Text(_) | Value::Plain) {
            return Err(format!("it has '{key}'"));
        }
    }
    Ok(Spelled { name: literal(path.as_bytes()), format: driver })
}

fn is_any(key: &str, lists: &[&[&str]]) -> bool {
    lists.iter().any(|list| list.contains(&key))
}

/// Options of every driver that change nothing of what is read.
const EVERY: [&str; 8] = [
    "auto-read-only",
    "cache.direct",
    "cache.no-flush",
    "detect-zeroes",
    "discard",
    "force-share",
    "node-name",
    "read-only",
];

/// Those of the driver for files.
const FILE: [&str; 5] = ["aio", "aio-max-batch", "drop-cache", "locking", "x-check-cache-dropped"];

/// Those of the driver for qcow2.
const QCOW2: [&str; 11] = [
    "cache-clean-interval",
    "cache-size",
    "discard-no-unref",
    "l2-cache-entry-size",
    "l2-cache-size",
    "lazy-refcounts",
    "overlap-check",
    "pass-discard-other",
    "pass-discard-request",
    "pass-discard-snapshot",
    "refcount-cache-size",
];

/// A value of JSON, as far as it matters.
#[derive(Debug)]
enum Value {
    Text(String),
    /// A number, or yes or no.
    Plain,
    Members(Vec<(String, Self)>),
}

/// Makes `{"file": {"filename": …}}` what QEMU takes for the same: `{"file.filename": …}`.
fn flatten(
    prefix: &str,
    value: Value,
    options: &mut BTreeMap<String, Value>,
) -> Result<(), String> {
    match value {
        Value::Members(members) => members.into_iter().try_for_each(|(key, value)| {
            let dot = if prefix.is_empty() { "" } else { "." };
            flatten(&format!("{prefix}{dot}{key}"), value, options)
        }),
        _ if prefix.is_empty() => Err("it is no object".to_owned()),
        value => match options.insert(prefix.to_owned(), value) {
            Some(_) => Err(format!("it has '{prefix}' twice")),
            None => Ok(()),
        },
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false or an object")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members: Vec<(String, Value)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if members.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format!("it has '{key}' twice")));
            }
            members.push((key, map.next_value()?));
        }
        Ok(Value::Members(members))
    }
}

#[cfg(test)]
mod tests {
    use diskferry_block_stream::ErrorKind;

    use super::*;

    #[test]
    fn a_plain_file_is_read_as_its_name() {
        let nested = r#"{"driver":"qcow2","file":{"driver":"file","filename":"base.qcow2"}}"#;
        for (name, path, format) in [
            ("file:base.raw", "base.raw", None),
            ("file:a:b.raw", "./a:b.raw", None),
            ("file:///srv/base.raw", "///srv/base.raw", None),
            ("file:json:{}", "./json:{}", None),
            ("file:", "", None),
            (&format!("json:{nested}"), "base.qcow2", Some("qcow2")),
            (
                r#"json:{"file.filename":"base.qcow2","driver":"qcow2"}"#,
                "base.qcow2",
                Some("qcow2"),
            ),
            (r#"json:{"driver":"file","filename":"base.raw"}"#, "base.raw", Some("file")),
            (r#"json: { "file" : { "filename" : "a\u00e9\"b" } } "#, "aé\"b", None),
            (
                r#"json:{"driver":"raw","file":{"filename":"nbd://host/x"}}"#,
                "./nbd://host/x",
                Some("raw"),
            ),
            (
                r#"json:{"driver":"qcow2","read-only":true,"l2-cache-size":1048576,"node-name":"n","cache":{"direct":true,
                "no-flush":false},"file":{"driver":"file","locking":"auto","aio":"threads","cache.direct":true,
                "discard":"unmap","auto-read-only":true,"filename":"./base.qcow2"}}"#,
                "./base.qcow2",
                Some("qcow2"),
            ),
        ] {
            let found = read("backing file", name.as_ref()).unwrap();
            let (name, format) = (path.into(), format.map(str::to_owned));
            assert_eq!(found, Some(Spelled { name, format }), "{path}");
        }
        for name in ["base.raw", "nbd://host/x", "JSON:{}", "x/file:y", ""] {
            assert_eq!(read("backing file", name.as_ref()).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn json_that_says_more_is_refused() {
        let file = |more: &str| format!(r#"{{"driver":"raw","file":{{"filename":"b"}}{more}}}"#);
        let deep = format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000));
        let long = file(&format!(r#","node-name":"{}""#, "x".repeat(1 << 20)));
        for (text, why) in [
            (&*file(r#","offset":512"#), "'offset'"),
            (&file(r#","size":512"#), "'size'"),
            (&file(r#","backing":"x""#), "'backing'"),
            (&file(r#","l2-cache-size":1"#), "'l2-cache-size'"),
            (&file(r#","read-only":{"x":1}"#), "'read-only.x'"),
            (&file(r#","read-only":null"#), "null"),
            (&file(r#","read-only":[true]"#), "sequence"),
            (&file(r#","driver":"raw""#), "'driver' twice"),
            (&file(r#","file.filename":"c""#), "'file.filename' twice"),
            (&file(r#","file.offset":1"#), "'file.offset'"),
            (&file("} {"), "trailing"),
            (
                r#"{"driver":"qcow2","encrypt":{"format":"luks"},"file":{"filename":"b"}}"#,
                "'encrypt.format'",
            ),
            (r#"{"driver":"nbd","host":"x","port":"1"}"#, "names no file"),
            (r#"{"driver":"qcow2","file":{"driver":"nbd","filename":"b"}}"#, "driver 'nbd'"),
            (
                r#"{"driver":"qcow2","file":{"driver":"host_device","filename":"/dev/sda"}}"#,
                "'host_device'",
            ),
            (r#"{"driver":"qcow2","file":"node0"}"#, "names no file"),
            (r#"{"driver":"qcow2","filename":"b"}"#, "names no file"),
            (r#"{"driver":"file","file":{"filename":"b"}}"#, "names no file"),
            (r#"{"driver":"file","filename":"b","file.locking":"on"}"#, "'file.locking'"),
            (r#"{"driver":["file"],"filename":"b"}"#, "sequence"),
            (r#"{"driver":1,"filename":"b"}"#, "'driver' is no text"),
            (r#"{"file":{"filename":7}}"#, "'file.filename' is no text"),
            ("", "EOF"),
            ("7", "no object"),
            ("{", "EOF"),
            ("{\"file\":{\"filename\":\"\u{1}\"}}", "control character"),
            (&deep, "recursion limit"),
            (&long, "longer than 8192 bytes"),
        ] {
            let name = format!("json:{text}");
            let error = read("backing file", name.as_ref()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains(why), "no {why} in: {error}");
            assert!(error.to_string().len() < 600, "{error}");
        }
        let name = OsStr::from_bytes(b"json:{\"file\":{\"filename\":\"M\xfc\"}}");
        assert!(read("backing file", name).is_err());
    }
}
