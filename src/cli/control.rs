//! `faregate control`: the control plane of a cluster.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::span;
use crate::control::certificates::rotation::Policy;
use crate::control::inject::Settings;
use crate::control::run::{self, Options, Source, names_of_service};
use crate::telemetry::logs;

/// Run the control plane of a Kubernetes cluster.
#[derive(Debug, Args)]
#[command(long_about = "Run the control plane of a Kubernetes cluster until it is told to stop.

It answers the admission webhooks: pods that ask for it get the sidecar (as `faregate inject` does), a routing table that is \
wrong is refused (as `faregate check` does). It watches RoutingTables and ConfigMaps with the label \
faregate.dev/routing-table=true, hands them out to the sidecars, and writes their status. It keeps the certificate of all \
this, and counts pods that should have the sidecar and have none.

Several replicas may run: each answers; one of them, by a Lease, renews the certificate, writes statuses and counts.

In a pod, the service account tells where the API server is; elsewhere a kubeconfig does (KUBECONFIG). SIGTERM lets \
questions in flight be answered.")]
#[command(after_help = "Examples:
  faregate control --settings inject.yaml
  faregate control --settings inject.yaml --certificates cert-manager --certificate-directory /etc/faregate/tls
  curl 127.0.0.1:9446/readyz")]
pub struct ControlArgs {
    /// Settings of injection, a YAML file as for `faregate inject`.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Image of the sidecar, over the settings'.
    #[arg(long, env = "FAREGATE_IMAGE", value_name = "IMAGE")]
    image: Option<String>,
    /// Faregate's own namespace, over the settings': its routing table is the cluster's, and nothing is injected in it.
    #[arg(long, env = "FAREGATE_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// Where the API server asks, by HTTPS.
    #[arg(long, default_value_t = any(9443), value_name = "IP:PORT")]
    webhook: SocketAddr,
    /// Where sidecars get their routing tables, by TLS.
    #[arg(long, default_value_t = any(9444), value_name = "IP:PORT")]
    distribution: SocketAddr,
    /// Health and metrics, by HTTP.
    #[arg(long, default_value_t = any(9446), value_name = "IP:PORT")]
    admin: SocketAddr,
    /// This replica's name among the others: the pod's.
    #[arg(long, env = "FAREGATE_POD", value_name = "NAME")]
    identity: Option<String>,
    /// Where the admin ports of all replicas are found, such as a headless Service: the leader asks the others for the
    /// sidecars that are connected to them. Can be given several times.
    #[arg(long = "peers", value_name = "HOST:PORT")]
    peers: Vec<String>,
    /// Name of the Lease that makes one replica the leader.
    #[arg(long, default_value = "faregate-control", value_name = "NAME")]
    lease: String,
    /// For how long the Lease holds: another leads that much later when the leader is gone without a word.
    #[arg(long, default_value = "15s", value_parser = whole_seconds, value_name = "TIME")]
    lease_duration: Duration,
    /// Where the certificate of webhooks and distribution comes from.
    #[arg(long, value_enum, default_value_t = Certificates::Own, value_name = "SOURCE")]
    certificates: Certificates,
    /// Directory with tls.crt, tls.key and ca.crt, such as a mounted Secret; not with `self`.
    #[arg(long, default_value = "/etc/faregate/tls", value_name = "DIRECTORY")]
    certificate_directory: PathBuf,
    /// Secret that the authority is kept in, with `self`.
    #[arg(long, default_value = "faregate-control-tls", value_name = "NAME")]
    certificate_secret: String,
    /// Name of the webhook configurations whose caBundle is kept, with `self`.
    #[arg(long, default_value = "faregate", value_name = "NAME")]
    webhook_configuration: String,
    /// Service that the certificate is for, with `self`.
    #[arg(long, default_value = "faregate-control", value_name = "NAME")]
    service: String,
    /// A further host name or address that the certificate is for, with `self`. Can be given several times.
    #[arg(long = "certificate-name", value_name = "NAME")]
    certificate_names: Vec<String>,
    /// How long an authority holds, with `self`; renewed after two thirds.
    #[arg(long, default_value = "8760h", value_parser = span, value_name = "TIME")]
    authority_lifetime: Duration,
    /// How long a certificate holds, with `self`; renewed after two thirds.
    #[arg(long, default_value = "720h", value_parser = span, value_name = "TIME")]
    certificate_lifetime: Duration,
    /// How long a new authority is made known before it signs, with `self`.
    #[arg(long, default_value = "1h", value_parser = span, value_name = "TIME")]
    authority_settling: Duration,
    /// How far clocks in the cluster may differ: certificates hold from that much before they are made, with `self`.
    #[arg(long, default_value = "5m", value_parser = span, value_name = "TIME")]
    clock_skew: Duration,
    /// The status of a routing table is written at most so often.
    #[arg(long, default_value = "2s", value_parser = span, value_name = "TIME")]
    status_pause: Duration,
    /// Do not watch pods: nothing tells of those that have no sidecar, or an old one.
    #[arg(long)]
    no_watchdog: bool,
    /// Print the addresses as one JSON line on standard output once questions can come.
    #[arg(long)]
    print_addresses: bool,
}

/// Where the webhooks' certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Certificates {
    /// An authority of Faregate's own, kept in a Secret; it renews all by itself.
    #[value(name = "self")]
    Own,
    /// Files that cert-manager renews, whose injector writes the caBundle.
    CertManager,
    /// Files that somebody else renews, who writes the caBundle too.
    ExistingSecret,
}

/// Every address of the machine, IPv4 included.
const fn any(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let span = span(text)?;
    let whole = span.subsec_nanos() == 0 && (2..=600).contains(&span.as_secs());
    if whole { Ok(span) } else { Err("wants 2 to 600 whole seconds".into()) }
}

/// Runs until the process is told to stop.
pub fn control(args: ControlArgs) -> ExitCode {
    let settings = match settings(&args) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("faregate: {error}");
            return ExitCode::from(2);
        }
    };
    let mut names = names_of_service(&args.service, &settings.namespace);
    names.extend(args.certificate_names);
    let source = match args.certificates {
        Certificates::Own => Source::Own {
            secret: args.certificate_secret,
            webhooks: args.webhook_configuration,
            policy: Policy {
                authority: args.authority_lifetime,
                certificate: args.certificate_lifetime,
                settle: args.authority_settling,
                skew: args.clock_skew,
                names,
            },
        },
        Certificates::CertManager | Certificates::ExistingSecret => Source::Files(args.certificate_directory),
    };
    let done = run::run(Options {
        settings,
        webhook: args.webhook,
        distribution: args.distribution,
        admin: args.admin,
        identity: args.identity.unwrap_or_else(|| format!("faregate-control-{}", std::process::id())),
        peers: args.peers,
        lease: (args.lease, args.lease_duration),
        source,
        status_pause: args.status_pause,
        watchdog: !args.no_watchdog,
        print_addresses: args.print_addresses,
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs::flush(Duration::from_secs(1));
            eprintln!("faregate: {error}");
            eprintln!("faregate: not started");
            ExitCode::FAILURE
        }
    }
}

fn settings(args: &ControlArgs) -> Result<Settings, String> {
    let mut settings = args.settings.as_deref().map_or_else(|| Ok(Settings::default()), read)?;
    if let Some(image) = &args.image {
        settings.image.clone_from(image);
    }
    if let Some(namespace) = &args.namespace {
        settings.namespace.clone_from(namespace);
    }
    Ok(settings)
}

fn read(path: &Path) -> Result<Settings, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Settings::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}
