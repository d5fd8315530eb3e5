//! Response headers on their way to the client.

use std::sync::Arc;

use super::answer::Answer;
use super::downstream::BodyLength;
use super::live::Gateway;
use crate::http1::{self, Framing, Headers, ResponseHead};

/// What a call says of itself in its answer's headers.
#[derive(Debug, Default, Clone)]
pub(super) struct Marks {
    pub(super) route: Option<Arc<str>>,
    pub(super) provider: Option<Arc<str>>,
    pub(super) model: Option<Arc<str>>,
    pub(super) attempts: u32,
}

impl Answer {
    /// Adds the `x-faregate-*` headers where the configuration wants them.
    pub(super) fn mark(&mut self, gateway: &Gateway, marks: &Marks, request_id: &str) {
        if !gateway.settings.response_headers {
            return;
        }
        self.text_header("x-faregate-request-id", request_id);
        if let Some(route) = &marks.route {
            self.text_header("x-faregate-route", route);
        }
        if let Some(provider) = &marks.provider {
            self.text_header("x-faregate-provider", provider);
        }
        if let Some(model) = &marks.model {
            self.text_header("x-faregate-model", model);
        }
        self.header("x-faregate-attempts", itoa::Buffer::new().format(marks.attempts).as_bytes());
    }
}

/// The client's view of a provider's response head. `whole` is the body's length where all of it is here already.
pub(super) fn answer(head: &ResponseHead, method: &http::Method, rewritten: bool, whole: Option<usize>) -> Answer {
    let length = match (whole, http1::response_framing(head, method)) {
        (Some(whole), _) if !no_body(head.status, method) => BodyLength::Known(whole as u64),
        (_, Ok(Framing::None)) => BodyLength::None,
        (_, Ok(Framing::Length(length))) if !rewritten => BodyLength::Known(length),
        _ => BodyLength::Unknown,
    };
    let mut answer = Answer::new(head.status, length);
    copy(&head.headers, &mut answer, matches!(length, BodyLength::None));
    answer
}

fn no_body(status: u16, method: &http::Method) -> bool {
    method == http::Method::HEAD || status == 204 || status == 304
}

fn copy(headers: &Headers, answer: &mut Answer, keep_length: bool) {
    let mut dated = false;
    headers.write_kept(&mut answer.lines, |name, _| {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let ours = name.len() > 11 && name[..11].eq_ignore_ascii_case(b"x-faregate-") && !is(b"x-faregate-simulated");
        // The length of a HEAD or 304 answer describes a body that is not there, so no framing of ours replaces it.
        let framing = is(b"content-length") && !keep_length;
        if http1::is_hop_by_hop(name) || framing || ours || http1::nominated(headers, name) {
            return false;
        }
        dated |= is(b"date");
        true
    });
    answer.dated |= dated;
}
