//! The text of a descriptor, and what tells that it is one.

use std::borrow::Cow;

/// The text of a descriptor: UTF-16 where a mark at its beginning says so, or the sign that all XML begins with
/// (XML 1.0, F.1); else UTF-8. Names of files are mostly ASCII; what else is in another encoding does not matter
/// here.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [b'<', 0, _, 0, ..] => encoding_rs::UTF_16LE,
        [0, b'<', 0, _, ..] => encoding_rs::UTF_16BE,
        _ => encoding_rs::UTF_8,
    }
    .decode(bytes)
    .0
}

/// Whether a file that begins so is a descriptor: XML, whose outermost element is an Envelope.
pub fn is_descriptor_text(head: &[u8]) -> bool {
    let text = text_of(head);
    let mut rest = text.trim_start();
    loop {
        let end = match rest.get(..2) {
            Some("<?") => "?>",
            Some("<!") if rest.starts_with("<!--") => "-->",
            _ => break,
        };
        let Some((_, after)) = rest.split_once(end) else { return false };
        rest = after.trim_start();
    }
    let Some(element) = rest.strip_prefix('<') else { return false };
    let name = element.split([' ', '\t', '\r', '\n', '>', '/']).next().unwrap_or_default();
    name.rsplit(':').next() == Some("Envelope")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_known_by_its_outermost_element() {
        for (text, is) in [
            ("<Envelope>", true),
            ("<Envelope/>", true),
            ("\r\n<?xml version='1.0'?>\n<!-- <a> -->\n<ovf:Envelope\nxmlns:ovf='x'>", true),
            ("<Envelopes>", false),
            ("<VirtualBox><Envelope/></VirtualBox>", false),
            ("<!DOCTYPE html><Envelope>", false),
            ("<!-- <Envelope>", false),
            ("<?xml", false),
            ("Envelope", false),
            ("<", false),
            ("", false),
        ] {
            assert_eq!(is_descriptor_text(text.as_bytes()), is, "{text}");
        }
        assert!(!is_descriptor_text(&"<!---->".repeat(10_000).into_bytes()));
        assert!(!is_descriptor_text(&[0xff; 4096]));
    }
}
