//! Amounts of money, exact.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

/// Decimals of a dollar that are kept.
const DECIMALS: u32 = 18;

/// An amount in US dollars: a whole number of 1e-18 dollars.
///
/// A token's price is published in dollars a million with up to twelve decimals, so that usage times price is exact
/// and sums do not depend on their order. Arithmetic stops at the ends of the range (1e20 dollars) instead of wrapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i128);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many 1e-18 dollars.
    pub const fn from_atto(atto: i128) -> Self {
        Self(atto)
    }

    /// The amount in 1e-18 dollars.
    pub const fn atto(self) -> i128 {
        self.0
    }

    /// Reads a decimal as JSON and people write it: `0.00159375`, `7.159e-05`, `3`. What stands behind the
    /// eighteenth decimal (the trace of a binary float) is rounded, half away from zero.
    pub fn parse(text: &str) -> Option<Self> {
        decimal(text, DECIMALS).map(|(atto, _)| Self(atto))
    }

    /// Appends the amount in dollars as its [`Display`](fmt::Display) shows it: a plain decimal without needless zeros.
    pub fn write_to(self, out: &mut Vec<u8>) {
        const ONE: u128 = 10_u128.pow(DECIMALS);
        if self.0 < 0 {
            out.push(b'-');
        }
        let atto = self.0.unsigned_abs();
        // Below 18 dollars, as nearly all costs of calls are, 64 bits do.
        let (whole, mut fraction) = match u64::try_from(atto) {
            Ok(atto) => (u128::from(atto / ONE as u64), atto % ONE as u64),
            Err(_) => (atto / ONE, (atto % ONE) as u64),
        };
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        if fraction == 0 {
            return;
        }
        let mut digits = [b'0'; DECIMALS as usize];
        for digit in digits.iter_mut().rev() {
            *digit += (fraction % 10) as u8;
            fraction /= 10;
        }
        let len = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        out.push(b'.');
        out.extend_from_slice(&digits[..len]);
    }

    /// This amount times a share in millionths, rounded half away from zero: 55,000 is 5.5 percent.
    pub fn share(self, millionths: i64) -> Self {
        let (whole, rest) = millions(self.0);
        let part = rounded_millions(rest * i128::from(millionths));
        Self(whole.saturating_mul(millionths.into()).saturating_add(part))
    }

    /// The amount in 1e-12 dollars, rounded half away from zero.
    pub fn pico(self) -> i128 {
        rounded_millions(self.0)
    }
}

const MILLION: i64 = 1_000_000;

/// Quotient and rest of a division by a million. Costs of calls fit 64 bits, where dividing is many times faster.
fn millions(number: i128) -> (i128, i128) {
    match i64::try_from(number) {
        Ok(number) => ((number / MILLION).into(), (number % MILLION).into()),
        Err(_) => (number / i128::from(MILLION), number % i128::from(MILLION)),
    }
}

/// A millionth of a number, rounded half away from zero.
fn rounded_millions(number: i128) -> i128 {
    let half = i128::from(MILLION / 2);
    millions(number.saturating_add(if number < 0 { -half } else { half })).0
}

/// Reads a decimal as a whole number of 10^-`scale`, and whether that is exact.
pub fn decimal(text: &str, scale: u32) -> Option<(i128, bool)> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() || (fraction.is_empty() && unsigned.ends_with('.')) {
        return None;
    }
    // Where the last digit that is kept stands, counted from the decimal point.
    let shift = i64::from(exponent) + i64::from(scale);
    let (mut value, mut exact, mut next) = (0_i128, true, None);
    let digits = whole.bytes().chain(fraction.bytes());
    let wholes = i64::try_from(whole.len()).ok()?;
    for (at, digit) in (0_i64..).zip(digits) {
        let digit = digit.checked_sub(b'0').filter(|d| *d <= 9)?;
        if at - wholes < shift {
            value = value.checked_mul(10)?.checked_add(digit.into())?;
        } else {
            exact &= digit == 0;
            if at - wholes == shift {
                next = Some(digit);
            }
        }
    }
    let missing = wholes.checked_add(shift)?.checked_sub(i64::try_from(whole.len() + fraction.len()).ok()?)?;
    if missing > 0 && value != 0 {
        value = value.checked_mul(10_i128.checked_pow(u32::try_from(missing).ok()?)?)?;
    }
    if next.is_some_and(|digit| digit >= 5) {
        value = value.checked_add(1)?;
    }
    Some((if mantissa.starts_with('-') { -value } else { value }, exact))
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Money {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Dollars as a plain decimal without needless zeros: `0.00159375`. A precision rounds: `{:.4}`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keep = f.precision().and_then(|p| u32::try_from(p).ok()).unwrap_or(DECIMALS).min(DECIMALS);
        let unit = 10_u128.pow(DECIMALS - keep);
        let rounded = (self.0.unsigned_abs() + unit / 2) / unit;
        let one = 10_u128.pow(keep);
        let mut text = format!("{}", rounded / one);
        if keep > 0 {
            text.push_str(&format!(".{:0width$}", rounded % one, width = keep as usize));
            if f.precision().is_none() {
                text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
            }
        }
        f.pad_integral(self.0 >= 0 || rounded == 0, "", &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        Money::parse(text).map(|money| money.to_string())
    }

    #[test]
    fn reads_what_json_writes_and_shows_it_plainly() {
        for (text, want) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("0.00159375", "0.00159375"),
            ("7.159e-05", "0.00007159"),
            ("2.8e-08", "0.000000028"),
            ("1E+2", "100"),
            ("12.50", "12.5"),
            ("-3.25", "-3.25"),
            ("12345678901.000000000000000001", "12345678901.000000000000000001"),
            ("0.1234567890123456785", "0.123456789012345679"),
            ("0.00010428125000000001e0", "0.00010428125"),
            ("5e-19", "0.000000000000000001"),
            ("4.9e-19", "0"),
            ("1e-999999999", "0"),
            ("0e999999999", "0"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(want), "{text}");
            let mut out = Vec::new();
            Money::parse(text).unwrap_or_default().write_to(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), want, "{text}");
        }
        for bad in
            ["", "-", ".5", "5.", "1e", "e5", "1.2.3", "0x10", "1 ", "NaN", "1e30", "--1", "+1", "1e9999999999999"]
        {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }

    #[test]
    fn rounds_when_asked_to() {
        let money = Money::parse("0.00159375").unwrap_or_default();
        assert_eq!(format!("{money:.4}"), "0.0016");
        assert_eq!(format!("{money:.0}"), "0");
        assert_eq!(format!("{:.2}", Money::parse("-1.005").unwrap_or_default()), "-1.01");
        assert_eq!(format!("{money:>12.6}"), "    0.001594");
    }

    #[test]
    fn a_share_is_exact_where_it_can_be() {
        let hundred = Money::parse("100").unwrap_or_default();
        assert_eq!(hundred.share(55_000).to_string(), "5.5");
        assert_eq!(Money::from_atto(1).share(500_000).atto(), 1);
        assert_eq!(Money::from_atto(-1).share(499_999).atto(), 0);
        assert_eq!(Money::from_atto(i128::MAX).share(2_000_000).atto(), i128::MAX);
    }

    #[test]
    fn says_whether_a_decimal_fits() {
        assert_eq!(decimal("0.041666666667", 12), Some((41_666_666_667, true)));
        assert_eq!(decimal("0.18000000000000002", 12), Some((180_000_000_000, false)));
        assert_eq!(decimal("15", 4), Some((150_000, true)));
    }
}
