//! Vertex `predict` of embedding models: each prediction counts its own input (`statistics.token_count`), between long
//! lists of numbers. Sums the counts as they go by, holding nothing.

use crate::chat::{Usage, UsageReport};

const KEY: &[u8] = b"token_count";

/// Sums the counts of one body.
#[derive(Debug)]
pub(in super::super) struct TokenCounts {
    state: State,
    sum: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Outside of strings.
    Between,
    /// Inside a string, so many bytes of which are the key's; `None`: it is another.
    Text { matched: Option<usize>, escaped: bool },
    /// After the key.
    Colon,
    /// In its value.
    Number(u64),
}

impl TokenCounts {
    pub(in super::super) fn new() -> Self {
        Self { state: State::Between, sum: None }
    }

    pub(in super::super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            let mut used = 1;
            self.state = match self.state {
                State::Between => match memchr::memchr(b'"', bytes) {
                    None => return,
                    Some(at) => {
                        used = at + 1;
                        State::Text { matched: Some(0), escaped: false }
                    }
                },
                State::Text { escaped: true, .. } => State::Text { matched: None, escaped: false },
                State::Text { matched, .. } => match byte {
                    b'"' if matched == Some(KEY.len()) => State::Colon,
                    b'"' => State::Between,
                    b'\\' => State::Text { matched: None, escaped: true },
                    _ => {
                        let matched = matched.filter(|at| KEY.get(*at) == Some(&byte)).map(|at| at + 1);
                        State::Text { matched, escaped: false }
                    }
                },
                State::Colon => match byte {
                    b':' | b' ' | b'\n' | b'\r' | b'\t' => State::Colon,
                    b'0'..=b'9' => State::Number(u64::from(byte - b'0')),
                    _ => {
                        used = 0;
                        State::Between
                    }
                },
                State::Number(n) => match byte {
                    b'0'..=b'9' => State::Number(n.saturating_mul(10).saturating_add(u64::from(byte - b'0'))),
                    _ => {
                        self.sum = Some(self.sum.unwrap_or(0).saturating_add(n));
                        used = 0;
                        State::Between
                    }
                },
            };
            bytes = &bytes[used..];
        }
    }

    /// What the complete body reports.
    pub(in super::super) fn report(&self) -> UsageReport {
        self.sum.map_or(UsageReport::Unknown, |input| UsageReport::Reported(Usage { input, ..Usage::default() }))
    }
}
