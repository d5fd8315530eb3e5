//! What a tap has seen so far.

use super::super::charge::Charge;
use super::super::{DialectId, Operation, UpstreamError, anthropic, decode_error, json, openai};
use crate::chat::{Usage, UsageReport};

/// Longest model name that is kept.
const MAX_MODEL: usize = 256;

/// Facts of one response, filled by the readers of events and bodies.
#[derive(Debug, Default)]
pub(in super::super) struct Seen {
    pub(in super::super) usage: UsageReport,
    pub(in super::super) counts: anthropic::usage::Counts,
    pub(in super::super) charge: Charge,
    pub(in super::super) error: Option<UpstreamError>,
    pub(in super::super) model: Option<String>,
    pub(in super::super) content: bool,
    /// Events of a stream that carried content, and how many of them came before the last report of usage.
    pub(in super::super) contents: u64,
    pub(in super::super) reported_at: u64,
    pub(in super::super) ended: bool,
    /// What the host measured itself: counts where the model reported nothing.
    pub(in super::super) measured: UsageReport,
    /// A report that consists of two plain numbers, which may come apart: counts where there is no other.
    pub(in super::super) halves: Halves,
    /// Web searches that stand beside the usage.
    pub(in super::super) searches: u64,
}

/// Tokens in and out.
#[derive(Debug, Default)]
pub(in super::super) struct Halves {
    input: Option<u64>,
    output: Option<u64>,
}

impl Halves {
    /// Takes over what is stated.
    pub(in super::super) fn note(&mut self, input: Option<u64>, output: Option<u64>) {
        self.input = input.or(self.input);
        self.output = output.or(self.output);
    }

    /// `input_only`: nothing is generated, so that an output need not be stated.
    fn report(&self, input_only: bool) -> UsageReport {
        match self.input.zip(self.output.or(input_only.then_some(0))) {
            Some((input, output)) => UsageReport::Reported(Usage { input, output, ..Usage::default() }),
            None => UsageReport::Unknown,
        }
    }
}

impl Seen {
    /// The tokens, by the best that was said of them.
    pub(in super::super) fn tokens(&self, operation: Operation) -> UsageReport {
        let input_only = matches!(operation, Operation::Embeddings | Operation::Rerank);
        let reports = [self.usage, self.measured, self.halves.report(input_only)];
        reports.into_iter().find(|report| *report != UsageReport::Unknown).unwrap_or_default()
    }

    /// Reads one event, or object of a stream, that may carry both content and usage: the usage then covers it.
    pub(in super::super) fn event(&mut self, read: impl FnOnce(&mut Self)) {
        const NOT: u64 = u64::MAX;
        let (content, failed) = (self.content, self.error.is_some());
        let reported_at = std::mem::replace(&mut self.reported_at, NOT);
        read(self);
        let reported = self.reported_at != NOT;
        let counts = !content || !(reported || (self.error.is_some() && !failed));
        self.contents += u64::from(self.content && counts);
        self.reported_at = if reported { self.contents } else { reported_at };
    }

    /// Takes over a report; one that is none leaves the last one in place.
    pub(in super::super) fn note_usage(&mut self, report: UsageReport) {
        if report != UsageReport::Unknown {
            self.usage = report;
            self.reported_at = self.contents;
        }
    }

    /// Takes over a `usage` object; anything that is no final report leaves the last one in place.
    pub(in super::super) fn note_openai_usage(&mut self, operation: Operation, usage: &[u8]) {
        let charge = &mut self.charge;
        let report = openai::usage::report_telling(operation, usage, |key, value| charge.note_of_usage(key, value));
        let used = report.usage().is_some_and(|usage| usage.total_input() + usage.total_output() > 0);
        self.charge.usage_ends(used);
        self.note_usage(report);
    }

    /// Takes over the fields of a `usage` object over those of earlier ones.
    pub(in super::super) fn note_anthropic_usage(&mut self, usage: &[u8]) {
        self.counts.absorb(usage);
        self.usage = self.counts.report();
        self.reported_at = self.contents;
        self.charge.note_usage(usage, true);
    }

    /// The usage of a stream that broke off, from a request body of so many bytes: what was reported counts where no
    /// content came after and it counts what came before; else what came is counted. An event of content is about one
    /// token at most hosts, and a token about four bytes of a request.
    pub(in super::super) fn usage_of_broken(&self, operation: Operation, request: usize) -> UsageReport {
        let said = self.tokens(operation);
        let covers = self.usage == UsageReport::Unknown || self.reported_at == self.contents;
        let counts = said.usage().is_some_and(|usage| usage.total_output() > 0);
        if self.contents == 0 || (covers && counts) {
            return said;
        }
        let mut usage = match said.usage() {
            Some(usage) => *usage,
            None => Usage { input: request.div_ceil(4) as u64, ..Usage::default() },
        };
        let more = self.contents.saturating_sub(usage.total_output());
        usage.output = usage.output.saturating_add(more);
        UsageReport::Estimated(usage)
    }

    /// The searches that stand beside `usage` and not in it.
    pub(in super::super) fn note_searches(&mut self, searches: u64) {
        if let UsageReport::Reported(usage) | UsageReport::Inconsistent(usage) = &mut self.usage {
            usage.web_searches = usage.web_searches.max(searches);
        }
    }

    /// The first model named; some hosts leave the name empty at first.
    pub(in super::super) fn note_model(&mut self, value: &[u8]) {
        if self.model.is_none() && value.len() <= MAX_MODEL {
            self.model = json::text(value).filter(|name| !name.is_empty()).map(|name| name.into_owned());
        }
    }

    /// An error object inside a response; the first one counts.
    pub(in super::super) fn note_error(&mut self, dialect: DialectId, body: &[u8]) {
        if self.error.is_none() {
            self.error = Some(decode_error(dialect, 200, body));
        }
    }
}
