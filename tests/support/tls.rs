//! TLS around the plain client and upstream: each speaks to a bridge, which speaks TLS to Faregate. So one body of
//! tests runs with and without TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A certificate authority of a test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each is another one, by name too.
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", MADE.fetch_add(1, Ordering::SeqCst));
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these host names or addresses.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.sign(CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap())
    }

    /// One that has expired long ago.
    pub fn expired(&self, names: &[&str]) -> Pair {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair { certificate: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }

    /// Trusts this authority only; offers these protocols.
    pub fn client(&self, alpn: &[&str]) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }
}

impl Pair {
    /// A server with this certificate that demands a client certificate of `clients`, where one is given.
    pub fn server(&self, alpn: &[&str], clients: Option<&Authority>) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider).build().unwrap(),
            ),
        };
        let chain = vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()];
        let mut config =
            builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }
}

/// A bridge's address, and what it has seen.
#[derive(Clone)]
pub struct Bridge {
    pub address: SocketAddr,
    /// TLS connections that were made.
    pub made: Arc<AtomicUsize>,
    /// TLS connections that failed.
    pub failed: Arc<AtomicUsize>,
}

impl Bridge {
    pub fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }
}

/// TLS in front of a plain upstream.
pub fn front(upstream: SocketAddr, config: ServerConfig) -> Bridge {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    bridge(move |plain| {
        let acceptor = acceptor.clone();
        async move {
            let mut inner = acceptor.accept(plain).await?;
            let mut outer = TcpStream::connect(upstream).await?;
            Ok(async move { tokio::io::copy_bidirectional(&mut inner, &mut outer).await.map(drop) })
        }
    })
}

/// A plain address behind which a TLS server stands, that is expected to be called `name`.
pub fn behind(server: SocketAddr, config: ClientConfig, name: &'static str) -> Bridge {
    let connector = TlsConnector::from(Arc::new(config));
    bridge(move |mut plain| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            let mut tls = connector.connect(ServerName::try_from(name).unwrap(), stream).await?;
            Ok(async move { tokio::io::copy_bidirectional(&mut plain, &mut tls).await.map(drop) })
        }
    })
}

/// Runs in a thread of its own, to the end of the test's process.
fn bridge<Open, Opened, Copy>(open: Open) -> Bridge
where
    Open: Fn(TcpStream) -> Opened + Send + Clone + 'static,
    Opened: Future<Output = std::io::Result<Copy>> + Send + 'static,
    Copy: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let bridge = Bridge { address: listener.local_addr().unwrap(), made: Arc::default(), failed: Arc::default() };
    let counts = bridge.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((plain, _)) = listener.accept().await {
                plain.set_nodelay(true).unwrap();
                let (open, counts) = (open.clone(), counts.clone());
                tokio::spawn(async move {
                    match open(plain).await {
                        Ok(copy) => {
                            counts.made.fetch_add(1, Ordering::SeqCst);
                            let _closed = copy.await;
                        }
                        Err(_) => {
                            counts.failed.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    });
    bridge
}
