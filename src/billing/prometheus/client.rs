//! The HTTP API of Prometheus, one query at a time. Blocks, within bounds.

use std::fmt;
use std::io;
use std::time::Duration;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::{self, Sample};
use crate::billing::moment::Moment;
use crate::fetch::{Bounds, Site, SiteError};

const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(10),
    // A query over a month takes its time.
    patience: Duration::from_secs(120),
    total: Duration::from_secs(600),
    // A million series.
    most: 256 << 20,
};

/// Why Prometheus gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an URL that leads to one.
    #[error("`{0}` is no http:// or https:// URL of a host; a token goes into FAREGATE_PROMETHEUS_TOKEN, not here")]
    Url(String),
    /// A token that HTTP cannot carry.
    #[error("the token in FAREGATE_PROMETHEUS_TOKEN holds characters that HTTP forbids; is there a line end in it?")]
    Token,
    /// The system's certificates cannot be used.
    #[error("the system's certificates: {0}; SSL_CERT_FILE names a file of others")]
    Certificates(String),
    /// It cannot be reached, or broke off.
    #[error("Prometheus at {host} cannot be asked: {error}")]
    Io {
        /// Host and port.
        host: String,
        /// Why.
        error: io::Error,
    },
    /// An answer without a reason that can be read.
    #[error("Prometheus answered with status {0}{hint}", hint = hint(*.0))]
    Status(u16),
    /// It says what is wrong.
    #[error("Prometheus refused the query: {0}")]
    Refused(String),
    /// Something else than Prometheus answered.
    #[error("this is no Prometheus, or something stands before it: {0}")]
    Answer(String),
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "; set FAREGATE_PROMETHEUS_TOKEN to a bearer token that may query it",
        404 => "; give its URL without /api/v1, and with the path before that where it has one",
        301..=308 => "; give the URL that it redirects to",
        _ => "",
    }
}

/// A Prometheus that can be asked.
pub struct Client {
    site: Site,
    headers: Vec<(String, String)>,
}

/// Without the token.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.site.shown()).finish_non_exhaustive()
    }
}

impl Client {
    /// The Prometheus at a base URL, asked with a bearer token where there is one.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let site = Site::new(url, None).map_err(|error| match error {
            // What may be a password is not shown again.
            SiteError::Url => ClientError::Url(url.rsplit_once('@').map_or(url, |(_, host)| host).into()),
            SiteError::Certificates(why) => ClientError::Certificates(why),
        })?;
        let header = |name: &str, value: String| (name.to_owned(), value);
        let mut headers = vec![header("content-type", "application/x-www-form-urlencoded".into())];
        if let Some(token) = token {
            http::HeaderValue::try_from(token).map_err(|_| ClientError::Token)?;
            headers.push(header("authorization", format!("Bearer {token}")));
        }
        Ok(Self { site, headers })
    }

    /// Asks one instant query.
    pub(super) fn query(&self, query: &str, at: Moment) -> Result<Vec<Sample>, ClientError> {
        let (seconds, micros) = at.seconds();
        let body = format!("query={}&time={seconds}.{micros:06}", utf8_percent_encode(query, NON_ALPHANUMERIC));
        let path = format!("{}/api/v1/query", self.site.path());
        let reply = self.site.ask(&Method::POST, &path, &self.headers, body.as_bytes(), &BOUNDS);
        let reply = reply.map_err(|error| ClientError::Io { host: self.site.shown(), error })?;
        answer::read(reply.head.status, &reply.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_in_no_error_and_no_debug() {
        let refused = Client::new("https://user:secret@host", None).expect_err("no such URL").to_string();
        assert!(refused.contains("FAREGATE_PROMETHEUS_TOKEN") && !refused.contains("secret"), "{refused}");
        let client = Client::new("http://host:9090/prom/", Some("secret")).expect("a client");
        assert!(!format!("{client:?}").contains("secret"));
        assert!(matches!(Client::new("http://host", Some("a\nb")), Err(ClientError::Token)));
    }
}
