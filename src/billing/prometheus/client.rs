//! The HTTP API of Prometheus, one query at a time: HTTP/1.1, with TLS for `https`. Blocks, within bounds.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::answer::{self, Sample};
use crate::billing::moment::Moment;
use crate::http1::{BodyDecoder, Decoded, ResponseHead, parse_response, response_framing};

const CONNECT: Duration = Duration::from_secs(10);
/// One read or write: a query over a month takes its time.
const PATIENCE: Duration = Duration::from_secs(120);
const MOST_HEAD: usize = 64 << 10;
/// A million series; answers beyond are refused.
const MOST_ANSWER: usize = 256 << 20;

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
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Request line and headers, up to the length.
    head: Vec<u8>,
}

/// Without the token.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Client {
    /// The Prometheus at a base URL, asked with a bearer token where there is one.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        // What may be a password is not shown again.
        let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
        let wrong = || ClientError::Url(shown.into());
        let uri: http::Uri = url.trim().parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority =
            uri.authority().filter(|a| !a.host().is_empty() && !a.as_str().contains('@')).ok_or_else(wrong)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure {
            Some((Arc::new(trust()?), ServerName::try_from(host.clone()).map_err(|_| wrong())?))
        } else {
            None
        };
        let path = uri.path().trim_end_matches('/');
        let mut head = format!(
            "POST {path}/api/v1/query HTTP/1.1\r\nhost: {authority}\r\nuser-agent: faregate/{}\r\n\
             content-type: application/x-www-form-urlencoded\r\nconnection: close\r\n",
            env!("CARGO_PKG_VERSION")
        );
        if let Some(token) = token {
            http::HeaderValue::try_from(token).map_err(|_| ClientError::Token)?;
            head.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        Ok(Self { host, port, tls, head: head.into_bytes() })
    }

    /// Asks one instant query.
    pub(super) fn query(&self, query: &str, at: Moment) -> Result<Vec<Sample>, ClientError> {
        let (seconds, micros) = at.seconds();
        let body = format!("query={}&time={seconds}.{micros:06}", utf8_percent_encode(query, NON_ALPHANUMERIC));
        let mut request = self.head.clone();
        request.extend_from_slice(format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
        let failed = |error| ClientError::Io { host: format!("{}:{}", self.host, self.port), error };
        let socket = self.connect().map_err(failed)?;
        let (status, body) = match &self.tls {
            None => exchange(socket, &request),
            Some((config, name)) => ClientConnection::new(Arc::clone(config), name.clone())
                .map_err(io::Error::other)
                .and_then(|client| exchange(StreamOwned::new(client, socket), &request)),
        }
        .map_err(failed)?;
        answer::read(status, &body)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(socket) => {
                    socket.set_read_timeout(Some(PATIENCE))?;
                    socket.set_write_timeout(Some(PATIENCE))?;
                    return Ok(socket);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn trust() -> Result<ClientConfig, ClientError> {
    let wrong = |why: String| ClientError::Certificates(why);
    let mut roots = RootCertStore::empty();
    roots
        .add_parsable_certificates(rustls_native_certs::load_native_certs().map_err(|error| wrong(error.to_string()))?);
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut buffer = BytesMut::new();
    let head = loop {
        match parse_response(&mut buffer, MOST_HEAD).map_err(|error| invalid(&error))? {
            Some(ResponseHead { status: 100..=199, .. }) => {}
            Some(head) => break head,
            None if fill(&mut stream, &mut buffer)? == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => {}
        }
    };
    let mut decoder = BodyDecoder::new(response_framing(&head, &Method::POST).map_err(|error| invalid(&error))?);
    let mut body = Vec::new();
    loop {
        match decoder.decode(&mut buffer).map_err(|error| invalid(&error))? {
            Decoded::Data(data) if body.len() + data.len() > MOST_ANSWER => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too large; ask for less time"));
            }
            Decoded::Data(data) => body.extend_from_slice(&data),
            Decoded::Done => break,
            Decoded::NeedMore if fill(&mut stream, &mut buffer)? == 0 => {
                decoder.eof().map_err(|error| invalid(&error))?;
                break;
            }
            Decoded::NeedMore => {}
        }
    }
    Ok((head.status, body))
}

fn invalid(error: &impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP answer: {error}"))
}

/// Reads once more; 0 is the end.
fn fill(stream: &mut impl Read, buffer: &mut BytesMut) -> io::Result<usize> {
    let mut piece = [0; 16 << 10];
    loop {
        return match stream.read(&mut piece) {
            Ok(n) => {
                buffer.extend_from_slice(piece.get(..n).unwrap_or_default());
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A TLS peer that closes without a word: the framing tells whether something is missing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        };
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
        let head = String::from_utf8_lossy(&client.head).into_owned();
        assert!(head.starts_with("POST /prom/api/v1/query HTTP/1.1\r\nhost: host:9090\r\n"), "{head}");
        assert!(head.ends_with("authorization: Bearer secret\r\n"));
        assert!(matches!(Client::new("http://host", Some("a\nb")), Err(ClientError::Token)));
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for url in ["", "prometheus:9090", "ftp://host", "http://", "/api"] {
            assert!(matches!(Client::new(url, None), Err(ClientError::Url(_))), "{url}");
        }
    }
}
