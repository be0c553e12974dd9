//! The `key=value` options that a format takes when it is written.

use crate::{Error, Result};

/// One option of a format, for help texts and error messages.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Its name.
    pub key: &'static str,
    /// What it accepts, default first.
    pub values: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
}

/// What the word `value` of the option `key` means, of these choices.
///
/// # Errors
/// `Misuse` when it is none of them.
pub fn choice<T: Copy>(key: &str, value: &str, choices: &[(&str, T)]) -> Result<T> {
    choices.iter().find(|choice| choice.0 == value).map(|choice| choice.1).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|choice| choice.0).collect();
        Error::misuse(format!("{key}={value}: it can be {}", names.join(", ")))
    })
}

/// Parses a size as qemu-img does: a number, then an optional `K`, `M`, `G`, `T`, `P` or `E`
/// for powers of 1024 (also `k`, and a trailing `iB` or `B`). Returns bytes.
///
/// # Errors
/// `Misuse` when it is no such number, or does not fit into 64 bits.
pub fn parse_size(text: &str) -> Result<u64> {
    let bad = || Error::misuse(format!("'{text}' is no size; write 4096, 64K, 20G or 1.5T"));
    let trimmed = text.strip_suffix("iB").or_else(|| text.strip_suffix('B')).unwrap_or(text);
    let unit = trimmed.chars().last().ok_or_else(bad)?;
    let shift = match unit.to_ascii_uppercase() {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        'P' => 50,
        'E' => 60,
        _ if !text.ends_with("iB") => 0,
        _ => return Err(bad()),
    };
    let digits = if shift == 0 { trimmed } else { &trimmed[..trimmed.len() - unit.len_utf8()] };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let decimal = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !decimal(whole) || !decimal(fraction) || fraction.len() > 9 {
        return Err(bad());
    }
    if (digits.contains('.') && fraction.is_empty()) || (shift == 0 && !fraction.is_empty()) {
        return Err(bad());
    }
    let whole: u64 = whole.parse().map_err(|_| bad())?;
    let scaled = whole.checked_mul(1 << shift).ok_or_else(bad)?;
    if fraction.is_empty() {
        return Ok(scaled);
    }
    let tenths: u128 = fraction.parse().map_err(|_| bad())?;
    let part = (tenths << shift) / 10u128.pow(fraction.len() as u32);
    u64::try_from(part).ok().and_then(|part| scaled.checked_add(part)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_of_the_choices() {
        let choices = [("on", true), ("off", false)];
        assert!(choice("lazy", "on", &choices).unwrap());
        let error = choice("lazy", "On", &choices).unwrap_err();
        assert_eq!(error.to_string(), "lazy=On: it can be on, off");
    }

    #[test]
    fn sizes_read_as_qemu_img_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("64K", 65536),
            ("64k", 65536),
            ("1M", 1 << 20),
            ("20G", 20 << 30),
            ("20GiB", 20 << 30),
            ("1.5T", 3 << 39),
            ("7E", 7 << 60),
            ("100B", 100),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in
            ["", "K", "-1", "1.5", "1.", ".5G", "1X", "16E", "1 G", "0x10", "1e3", "5iB", "é"]
        {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
