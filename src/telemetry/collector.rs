//! One `POST` at a time to an OpenTelemetry collector, on the caller's thread: HTTP/1.1, with TLS for `https`.
//!
//! Blocks, within bounds; only the exporter's own thread may call it. Each request has a connection of its own: it
//! happens once a second at most. Start with [`Collector::post`].

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const CONNECT: Duration = Duration::from_secs(5);
/// One read or write.
const PATIENCE: Duration = Duration::from_secs(10);
/// From connected to the end of the answer.
const TOTAL: Duration = Duration::from_secs(15);
/// More of an answer is not read: only its head and a short report matter.
const MOST: usize = 64 << 10;

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
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Request line and headers, up to the length.
    head: Vec<u8>,
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
        let wrong = || CollectorError::Endpoint(endpoint.into());
        let uri: http::Uri = endpoint.trim().parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority =
            uri.authority().filter(|a| !a.host().is_empty() && !a.as_str().contains('@')).ok_or_else(wrong)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let base = uri.path().trim_end_matches('/');
        let path = if base.ends_with(signal) { base.to_owned() } else { format!("{base}{signal}") };
        let tls = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| wrong())?;
            Some((Arc::new(client_config(ca)?), name))
        } else {
            None
        };
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: faregate/{}\r\ncontent-type: application/json\r\nconnection: close\r\n",
            env!("CARGO_PKG_VERSION")
        )
        .into_bytes();
        for (name, value) in headers {
            let fits = http::HeaderName::try_from(name.as_str()).is_ok() && http::HeaderValue::try_from(value).is_ok();
            if !fits {
                return Err(CollectorError::Header(name.clone()));
            }
            head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        Ok(Self { host, port, tls, head })
    }

    /// Sends one JSON body and waits for the answer.
    pub(super) fn post(&self, body: &[u8]) -> io::Result<Reply> {
        let socket = self.connect()?;
        let mut request = self.head.clone();
        request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        request.extend_from_slice(body);
        match &self.tls {
            None => exchange(socket, &request),
            Some((config, name)) => {
                let client = ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
                exchange(StreamOwned::new(client, socket), &request)
            }
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the collector's name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(socket) => {
                    socket.set_read_timeout(Some(PATIENCE))?;
                    socket.set_write_timeout(Some(PATIENCE))?;
                    socket.set_nodelay(true)?;
                    return Ok(socket);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn client_config(ca: Option<&Path>) -> Result<ClientConfig, CollectorError> {
    let wrong = |reason: String| CollectorError::Certificates {
        path: ca.map_or_else(|| "the system's roots".into(), |ca| ca.display().to_string()),
        reason,
    };
    let found: Vec<CertificateDer<'static>> = match ca {
        Some(ca) => {
            CertificateDer::pem_file_iter(ca).and_then(Iterator::collect).map_err(|error| wrong(error.to_string()))?
        }
        None => rustls_native_certs::load_native_certs().map_err(|error| wrong(error.to_string()))?,
    };
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found).0 == 0 {
        return Err(wrong("no certificate in it".into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Reply> {
    stream.write_all(request)?;
    stream.flush()?;
    let deadline = Instant::now() + TOTAL;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece);
        let ended = match read {
            Ok(n) => {
                answer.extend_from_slice(&piece[..n]);
                n == 0
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            // A TLS peer that closes without a word; what it said before counts.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
            Err(error) => return Err(error),
        };
        let over = answer.len() >= MOST || Instant::now() >= deadline;
        if let Some(reply) = parse(&answer, ended || over)? {
            return Ok(reply);
        }
        if ended || over {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the collector broke off its answer"));
        }
    }
}

/// The answer, once all of it is here or there will be no more.
fn parse(answer: &[u8], last: bool) -> io::Result<Option<Reply>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let status = head.parse(answer).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))?;
    let (httparse::Status::Complete(at), Some(code)) = (status, head.code) else { return Ok(None) };
    let field = |name: &str| {
        let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()?.trim().parse::<u64>().ok()
    };
    let body = answer.get(at..).unwrap_or_default();
    let whole = field("content-length").is_some_and(|length| body.len() as u64 >= length);
    Ok((whole || last).then(|| Reply {
        status: code,
        retry_after: field("retry-after").map(Duration::from_secs),
        body: body.to_vec(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(endpoint: &str) -> String {
        let collector = Collector::new(endpoint, "/v1/traces", &[("x-key".into(), "k".into())], None).unwrap();
        String::from_utf8(collector.head).unwrap()
    }

    #[test]
    fn the_path_of_traces_is_added_once() {
        assert!(head("http://c:4318").starts_with("POST /v1/traces HTTP/1.1\r\nhost: c:4318\r\n"));
        assert!(head("http://c/otlp/").starts_with("POST /otlp/v1/traces HTTP/1.1\r\nhost: c\r\n"));
        assert!(head("http://[::1]:1/v1/traces").starts_with("POST /v1/traces HTTP/1.1\r\nhost: [::1]:1\r\n"));
        assert!(head("http://c").ends_with("x-key: k\r\n"));
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for endpoint in ["", "c:4317", "grpc://c:4317", "http://", "http://u:p@c", "/v1/traces"] {
            assert!(
                matches!(Collector::new(endpoint, "/v1/traces", &[], None), Err(CollectorError::Endpoint(_))),
                "{endpoint}"
            );
        }
        for (name, value) in [("a b", "c"), ("a", "b\r\nc: d"), ("", "x")] {
            let headers = [(name.into(), value.into())];
            assert!(matches!(Collector::new("http://c", "/v1/traces", &headers, None), Err(CollectorError::Header(_))));
        }
        let missing = Collector::new("https://c", "/v1/traces", &[], Some(Path::new("/nowhere/ca.pem")));
        assert!(missing.is_err_and(|error| error.to_string().starts_with("/nowhere/ca.pem: ")));
    }

    #[test]
    fn an_answer_is_whole_by_its_length_or_at_the_end() {
        let text = b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}";
        for cut in 0..text.len() {
            assert!(parse(&text[..cut], false).unwrap().is_none(), "{cut}");
        }
        let reply = parse(text, false).unwrap().unwrap();
        assert_eq!((reply.status, reply.retry_after, &*reply.body), (503, Some(Duration::from_secs(7)), &b"{}"[..]));
        let open = b"HTTP/1.1 200 OK\r\n\r\n{";
        assert!(parse(open, false).unwrap().is_none());
        assert_eq!(parse(open, true).unwrap().unwrap().status, 200);
        assert!(parse(b"SSH-2.0-x\r\n", true).is_err());
    }
}
