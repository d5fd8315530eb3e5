//! W3C Trace Context: the `traceparent` header, read and written.
//!
//! `tracestate` is none of this module's business: whoever forwards headers passes it on as it came.

use super::random;

/// The bits of the flags that are known here and passed on: sampled (level 1) and random trace id (level 2).
const KNOWN_FLAGS: u8 = 0b11;
const SAMPLED: u8 = 1;

/// A parsed `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not zero.
    pub trace_id: u128,
    /// The caller's span; not zero.
    pub span_id: u64,
    /// Bit 0: the caller records this trace.
    pub flags: u8,
}

impl TraceParent {
    /// Reads a header's value; `None` when it is not valid, in which case a new trace begins (W3C Trace Context 4.3).
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (fixed, rest) = header.split_at_checked(55)?;
        let version = hex(fixed.get(..2)?)?;
        // Later versions may append fields; version ff is forbidden.
        if version == 0xff || (version == 0 && !rest.is_empty()) || !matches!(rest.first(), None | Some(b'-')) {
            return None;
        }
        if [fixed.get(2), fixed.get(35), fixed.get(52)] != [Some(&b'-'); 3] {
            return None;
        }
        let trace_id = hex(fixed.get(3..35)?)?;
        let span_id = u64::try_from(hex(fixed.get(36..52)?)?).ok()?;
        let flags = u8::try_from(hex(fixed.get(53..55)?)?).ok()?;
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags: flags & KNOWN_FLAGS })
    }

    /// Whether the caller records this trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The header's value, in version 00.
    pub fn to_header(&self) -> [u8; 55] {
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut out[3..35], self.trace_id);
        write_hex(&mut out[36..52], self.span_id.into());
        write_hex(&mut out[53..55], self.flags.into());
        out
    }
}

/// Lower-case hexadecimal only, as the standard demands.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0u128, |n, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(n << 4 | u128::from(value))
    })
}

fn write_hex(out: &mut [u8], mut n: u128) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(n & 15) as usize];
        n >>= 4;
    }
}

/// What a call knows of its trace.
#[derive(Debug, Clone, Copy)]
pub(super) enum CallTrace {
    /// No traces are recorded here: the client's header goes on as it came.
    Forwarded(TraceParent),
    /// This call is a span of the trace, and each attempt another.
    Joined(Joined),
}

/// A call's place in a trace that this process takes part in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joined {
    pub(super) trace_id: u128,
    /// The client's span.
    pub(super) parent: Option<u64>,
    /// The call's span.
    pub(super) span_id: u64,
    flags: u8,
}

impl Joined {
    /// Sampled, and random trace id.
    pub(super) fn flags(&self) -> u8 {
        self.flags
    }
}

impl CallTrace {
    /// `sample` is the share of new traces that are recorded; `None` when none are recorded here.
    pub(super) fn begin(client: Option<TraceParent>, sample: Option<f64>) -> Option<Self> {
        let Some(sample) = sample else { return client.map(Self::Forwarded) };
        let span_id = random::nonzero();
        Some(Self::Joined(match client {
            Some(parent) => {
                Joined { trace_id: parent.trace_id, parent: Some(parent.span_id), span_id, flags: parent.flags }
            }
            None => {
                let low = random::nonzero();
                let sampled = (low as f64) < sample * 2f64.powi(64);
                Joined {
                    trace_id: u128::from(random::next()) << 64 | u128::from(low),
                    parent: None,
                    span_id,
                    flags: 0b10 | u8::from(sampled),
                }
            }
        }))
    }

    /// The trace that log lines and records name.
    pub(super) fn trace_id(&self) -> u128 {
        match self {
            Self::Forwarded(parent) => parent.trace_id,
            Self::Joined(joined) => joined.trace_id,
        }
    }

    /// What goes upstream, given the span of the attempt that runs.
    pub(super) fn outgoing(&self, attempt: Option<u64>) -> TraceParent {
        match self {
            Self::Forwarded(parent) => *parent,
            Self::Joined(j) => {
                TraceParent { trace_id: j.trace_id, span_id: attempt.unwrap_or(j.span_id), flags: j.flags }
            }
        }
    }

    /// The place in the trace, where its spans are recorded.
    pub(super) fn recorded(&self) -> Option<&Joined> {
        match self {
            Self::Joined(joined) if joined.flags & SAMPLED != 0 => Some(joined),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_header_reads_and_writes_back() {
        let parsed = TraceParent::parse(VALID).unwrap();
        assert!(parsed.is_sampled());
        assert_eq!(parsed.to_header(), VALID);
        let later = TraceParent::parse(b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-more").unwrap();
        assert_eq!(later.to_header(), *b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03");
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
        ] {
            assert_eq!(TraceParent::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn without_a_collector_the_client_s_header_goes_on_untouched() {
        assert!(CallTrace::begin(None, None).is_none());
        let trace = CallTrace::begin(TraceParent::parse(VALID), None).unwrap();
        assert_eq!(trace.outgoing(Some(7)).to_header(), VALID);
        assert!(trace.recorded().is_none());
    }

    #[test]
    fn a_caller_s_decision_wins_over_the_share() {
        let caller = TraceParent::parse(VALID);
        let trace = CallTrace::begin(caller, Some(0.0)).unwrap();
        assert!(trace.recorded().is_some());
        assert_eq!(trace.outgoing(Some(7)), TraceParent { span_id: 7, ..caller.unwrap() });
        let unsampled = caller.map(|caller| TraceParent { flags: 0, ..caller });
        assert!(CallTrace::begin(unsampled, Some(1.0)).unwrap().recorded().is_none());
    }

    #[test]
    fn the_share_of_new_traces_is_kept() {
        let kept =
            |sample| (0..10_000).filter(|_| CallTrace::begin(None, Some(sample)).unwrap().recorded().is_some()).count();
        assert_eq!(kept(0.0), 0);
        assert_eq!(kept(1.0), 10_000);
        assert!((2_200..2_800).contains(&kept(0.25)));
    }
}
