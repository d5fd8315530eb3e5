//! Wall-clock times as text.

use std::time::{SystemTime, UNIX_EPOCH};

/// Appends RFC 3339 in UTC with microseconds, such as `2026-11-22T10:00:00.000123Z`.
pub(super) fn write_rfc3339(at: SystemTime, out: &mut Vec<u8>) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    for (number, width, after) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
        (u64::from(since.subsec_micros()), 6, b'Z'),
    ] {
        let mut digits = [b'0'; 6];
        let mut rest = number;
        for digit in digits[..width].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&digits[..width]);
        out.push(after);
    }
}

/// Days since 1970-01-01 as year, month, day: `civil_from_days` of Howard Hinnant's "chrono-compatible low-level date
/// algorithms", for days after 1970 only.
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_instants() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000042Z"),
            (951_782_400, "2000-02-29T00:00:00.000042Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000042Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000042Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000042Z"),
        ] {
            let mut out = Vec::new();
            write_rfc3339(UNIX_EPOCH + Duration::new(seconds, 42_000), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
