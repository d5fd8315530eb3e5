//! Dates of fields (RFC 9110 section 5.6.7): `date` is formatted once a second per thread; dates of others are read.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `date: Sun, 06 Nov 1994 08:49:37 GMT` and CRLF.
const LINE: usize = 37;

thread_local! {
    static LAST: Cell<(u64, [u8; LINE])> = const { Cell::new((u64::MAX, [0; LINE])) };
}

const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

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

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that is generated today.
pub fn parse_date(text: &[u8]) -> Option<SystemTime> {
    let fixed: &[u8; 29] = text.trim_ascii().try_into().ok()?;
    let signs = [(3, b','), (4, b' '), (7, b' '), (11, b' '), (16, b' '), (19, b':'), (22, b':'), (25, b' ')];
    if signs.iter().any(|(at, sign)| fixed[*at] != *sign) || !fixed.ends_with(b"GMT") {
        return None;
    }
    let number = |from: usize, to: usize| std::str::from_utf8(&fixed[from..to]).ok()?.parse::<u64>().ok();
    let month = MONTHS.chunks(3).position(|month| month == &fixed[8..11])? as u64 + 1;
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    if day == 0 || day > 31 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_since_1970(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The other way round from [`civil`].
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
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
    fn reads_what_it_writes() {
        for seconds in [0, 784_111_777, 951_782_400, 1_709_164_799, 1_709_164_800, 4_107_542_400] {
            let line = format(seconds);
            assert_eq!(parse_date(&line[6..]), Some(UNIX_EPOCH + Duration::from_secs(seconds)));
        }
        for no in
            ["", "2", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 24:49:37 GMT", "Mon, 01 Jan 1900 00:00:00 GMT"]
        {
            assert_eq!(parse_date(no.as_bytes()), None, "{no}");
        }
    }

    #[test]
    fn writes_a_line() {
        let mut out = Vec::new();
        write_date(&mut out);
        assert_eq!(out.len(), LINE);
        assert!(out.starts_with(b"date: ") && out.ends_with(b" GMT\r\n"));
    }
}
