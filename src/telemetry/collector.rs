//! An OpenTelemetry collector, sent to on the caller's thread: only the exporter's own may do that. Start with
//! [`Collector::post`].

use std::io;
use std::path::Path;
use std::time::Duration;

use http::Method;

use crate::fetch::{Bounds, Site, SiteError};

const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(5),
    patience: Duration::from_secs(10),
    total: Duration::from_secs(15),
    // Only the head and a short report matter.
    most: 1 << 20,
};

/// Where nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// Not an URL that leads anywhere.
    #[error("the endpoint `{0}` is no http:// or https:// URL of a host")]
    Endpoint(String),
    /// A header that HTTP cannot carry.
    #[error("the header `{0}` cannot be sent: its name or value holds characters that HTTP forbids")]
    Header(String),
    /// Certificates that cannot be used.
    #[error("{path}: {reason}")]
    Certificates {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A collector and what goes with every request to it.
pub(super) struct Collector {
    site: Site,
    path: String,
    headers: Vec<(String, String)>,
}

/// What it answered.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Collector {
    /// The collector at `endpoint`, a base URL to which `signal` (such as `/v1/traces`) is added. `ca` is trusted
    /// instead of the system's roots.
    pub(super) fn new(
        endpoint: &str,
        signal: &str,
        headers: &[(String, String)],
        ca: Option<&Path>,
    ) -> Result<Self, CollectorError> {
        let site = Site::new(endpoint, ca).map_err(|error| match error {
            SiteError::Url => CollectorError::Endpoint(endpoint.into()),
            SiteError::Certificates(reason) => {
                let path = ca.map_or_else(|| "the system's roots".into(), |ca| ca.display().to_string());
                CollectorError::Certificates { path, reason }
            }
        })?;
        let base = site.path();
        let path = if base.ends_with(signal) { base.to_owned() } else { format!("{base}{signal}") };
        let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
        for (name, value) in headers {
            let fits = http::HeaderName::try_from(name.as_str()).is_ok() && http::HeaderValue::try_from(value).is_ok();
            if !fits {
                return Err(CollectorError::Header(name.clone()));
            }
            all.push((name.clone(), value.clone()));
        }
        Ok(Self { site, path, headers: all })
    }

    /// Sends one JSON body and waits for the answer.
    pub(super) fn post(&self, body: &[u8]) -> io::Result<Reply> {
        let reply = self.site.ask(&Method::POST, &self.path, &self.headers, body, &BOUNDS)?;
        let pause = reply.head.headers.get("retry-after").and_then(|value| std::str::from_utf8(value).ok());
        Ok(Reply {
            status: reply.head.status,
            retry_after: pause.and_then(|pause| pause.trim().parse().ok()).map(Duration::from_secs),
            body: reply.body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_signal_is_added_once() {
        let path = |endpoint| Collector::new(endpoint, "/v1/traces", &[], None).map(|collector| collector.path);
        assert_eq!(path("http://c:4318").ok().as_deref(), Some("/v1/traces"));
        assert_eq!(path("http://c/otlp/").ok().as_deref(), Some("/otlp/v1/traces"));
        assert_eq!(path("http://[::1]:1/v1/traces").ok().as_deref(), Some("/v1/traces"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let of = |endpoint, headers: &[(String, String)], ca| Collector::new(endpoint, "/v1/traces", headers, ca);
        assert!(matches!(of("grpc://c:4317", &[], None), Err(CollectorError::Endpoint(_))));
        for (name, value) in [("a b", "c"), ("a", "b\r\nc: d"), ("", "x")] {
            let refused = of("http://c", &[(name.into(), value.into())], None);
            assert!(matches!(refused, Err(CollectorError::Header(_))));
        }
        let missing = of("https://c", &[], Some(Path::new("/nowhere/ca.pem")));
        assert!(missing.is_err_and(|error| error.to_string().starts_with("/nowhere/ca.pem: ")));
    }
}
