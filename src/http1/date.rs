//! The `date` field (RFC 9110 sections 5.6.7 and 6.6.1), formatted once a second per thread.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// `date: Sun, 06 Nov 1994 08:49:37 GMT` and CRLF.
const LINE: usize = 37;

thread_local! {
    static LAST: Cell<(u64, [u8; LINE])> = const { Cell::new((u64::MAX, [0; LINE])) };
}

/// Appends a `date` field line with the present time.
pub fn write_date(out: &mut Vec<u8>) {
    // A clock before 1970 is as wrong as any other answer.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (second, mut line) = LAST.get();
    if second != now {
        line = format(now);
        LAST.set((now, line));
    }
    out.extend_from_slice(&line);
}

/// The field line for a time in seconds since 1970. Years beyond 9999 wrap: the format has four digits.
fn format(seconds: u64) -> [u8; LINE] {
    const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let weekday = (days % 7) as usize * 3;
    let month = (month as usize - 1) * 3;

    let mut line = *b"date: ---, -- --- ---- --:--:-- GMT\r\n";
    line[6..9].copy_from_slice(&DAYS[weekday..weekday + 3]);
    put(&mut line[11..13], day);
    line[14..17].copy_from_slice(&MONTHS[month..month + 3]);
    put(&mut line[18..22], year);
    put(&mut line[23..25], rest / 3600);
    put(&mut line[26..28], rest / 60 % 60);
    put(&mut line[29..31], rest % 60);
    line
}

/// Writes the last decimal digits of `number`, as many as there is room for.
fn put(room: &mut [u8], mut number: u64) {
    for digit in room.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01. Counts in eras of 400 years that begin on 1 March, so that
/// the leap day is the last day of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: u64) -> String {
        String::from_utf8_lossy(&format(seconds)).into_owned()
    }

    #[test]
    fn formats_as_rfc_9110_shows_it() {
        assert_eq!(text(784_111_777), "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(text(0), "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    }

    #[test]
    fn knows_leap_days() {
        assert_eq!(text(951_782_400), "date: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
        assert_eq!(text(1_709_164_799), "date: Wed, 28 Feb 2024 23:59:59 GMT\r\n");
        assert_eq!(text(1_709_164_800), "date: Thu, 29 Feb 2024 00:00:00 GMT\r\n");
        assert_eq!(text(4_107_542_400), "date: Mon, 01 Mar 2100 00:00:00 GMT\r\n");
    }

    #[test]
    fn writes_a_line() {
        let mut out = Vec::new();
        write_date(&mut out);
        assert_eq!(out.len(), LINE);
        assert!(out.starts_with(b"date: ") && out.ends_with(b" GMT\r\n"));
    }
}
