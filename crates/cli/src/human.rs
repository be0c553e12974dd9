//! Numbers and names as people like to read them.

use std::fmt::Write;

/// A size in the unit in which it is short: `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let value = format!("{value:.1}");
    format!("{} {}", value.strip_suffix(".0").unwrap_or(&value), UNITS[unit])
}

/// A size for people and for scripts: `1.5 GiB (1610612736 bytes)`.
pub fn exact_size(bytes: u64) -> String {
    if bytes < 1024 { format!("{bytes} bytes") } else { format!("{} ({bytes} bytes)", size(bytes)) }
}

/// The size of a file, and what it takes where that is less: `1 GiB (1073741824 bytes), 4 KiB on disk`.
pub fn file_size(bytes: u64, allocated: Option<u64>) -> String {
    match allocated {
        Some(allocated) if allocated < bytes => {
            format!("{}, {} on disk", exact_size(bytes), size(allocated))
        }
        _ => exact_size(bytes),
    }
}

/// A time that passed: `0.42 s`, `3 min 7 s`.
pub fn duration(seconds: f64) -> String {
    if seconds < 59.995 {
        return format!("{seconds:.2} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A speed: `512 MiB/s`.
pub fn rate(bytes: u64, seconds: f64) -> String {
    // Below a millisecond the clock says more about itself than about the work.
    format!("{}/s", size((bytes as f64 / seconds.max(0.001)) as u64))
}

/// A moment in UTC, from seconds since 1970: `2026-02-28 13:04:05`.
pub fn moment(seconds: u64) -> String {
    let (days, time) = (seconds / 86400, seconds % 86400);
    // Howard Hinnant's civil_from_days: years begin in March, so that the leap day comes last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// A text from an image or a file name, on one line and without anything that a terminal obeys.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_bidi_control(character) {
            // A String takes all that is written to it.
            let _ = write!(plain, "{}", character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Marks that reorder what is shown after them.
fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (196_616, "192 KiB"),
            ((1 << 20) - 1, "1 MiB"),
            (20 << 30, "20 GiB"),
            (5 << 39, "2.5 TiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn times_are_short() {
        for (seconds, text) in [
            (0.0, "0.00 s"),
            (0.417, "0.42 s"),
            (59.99, "59.99 s"),
            (59.999, "1 min 0 s"),
            (187.2, "3 min 7 s"),
            (7260.0, "2 h 1 min"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn moments_are_dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_709_164_800, "2024-02-29 00:00:00"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (1_735_689_599, "2024-12-31 23:59:59"),
        ] {
            assert_eq!(moment(seconds), text);
        }
    }

    #[test]
    fn nothing_from_an_image_reaches_the_terminal_as_a_command() {
        assert_eq!(plain("a\nb\x1b[2Jc\u{202e}"), "a\\nb\\u{1b}[2Jc\\u{202e}");
        assert_eq!(plain("Zürich 日本.qcow2"), "Zürich 日本.qcow2");
    }
}
