//! The way out: egress proxies by configuration and by the environment, names and addresses.

mod support;

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use support::tls::{Authority, front};
use support::{Blackhole, Client, Faregate, Head, Setup, Upstream, attempt_outcomes, post, refusing};

const BODY: &str = r#"{"model":"m","messages":[]}"#;

/// A forward proxy that leads to one upstream, whatever it is asked for, and remembers what that was.
struct Proxy {
    upstream: Upstream,
    asked: Arc<Mutex<Vec<Head>>>,
}

impl Proxy {
    /// Answers CONNECT with this status, and tunnels to `to` where it is 200; serves absolute requests itself.
    fn start(status: u16, to: std::net::SocketAddr) -> Self {
        let asked: Arc<Mutex<Vec<Head>>> = Arc::default();
        let kept = asked.clone();
        let upstream = Upstream::raw(move |peer| {
            while let Some(head) = peer.read_head() {
                kept.lock().unwrap().push(head.clone());
                if !head.line.starts_with("CONNECT ") {
                    peer.read_body(head);
                    peer.json(200, r#"{"served":"proxy"}"#);
                    continue;
                }
                if status != 200 {
                    peer.reply(status, &["proxy-authenticate: Basic"], "");
                    peer.close();
                    return;
                }
                peer.send("HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n");
                let (near, far) = (peer.stream().try_clone().unwrap(), TcpStream::connect(to).unwrap());
                let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
                std::thread::spawn(move || copy(back.0, back.1));
                copy(near, far);
                return;
            }
        });
        Self { upstream, asked }
    }

    fn url(&self) -> String {
        format!("http://{}", self.upstream.address)
    }

    fn asked(&self) -> Vec<Head> {
        self.asked.lock().unwrap().clone()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _closed = std::io::copy(&mut from, &mut to);
    let _closed = to.shutdown(std::net::Shutdown::Write);
}

fn table(base: &str, more: &str) -> String {
    format!(
        "providers: {{ far: {{ base_url: \"{base}\", credentials: none, timeouts: {{ connect: 3s }}, {more} }} }}\n\
         routes: [{{ name: r, targets: [{{ provider: far }}] }}]"
    )
}

#[track_caller]
fn served(faregate: &Faregate) -> String {
    post(faregate.api, "/v1/chat/completions", BODY).expect(200).json()["served"].as_str().unwrap().to_owned()
}

#[test]
fn http_targets_are_asked_for_in_absolute_form_with_credentials() {
    let proxy = Proxy::start(200, refusing().0);
    let with_user = proxy.url().replace("http://", "http://user%40corp:p%3Ass@");
    let config = table("http://far.test:8080/v1", &format!("proxy: \"{with_user}\""));
    let faregate = Faregate::start(&support::table::one_worker(&config));
    assert_eq!(served(&faregate), "proxy");
    assert_eq!(served(&faregate), "proxy");
    let asked = proxy.asked();
    assert_eq!(asked[0].line, "POST http://far.test:8080/v1/chat/completions HTTP/1.1");
    assert_eq!(asked[0].get("host"), Some("far.test:8080"));
    // user@corp:p:ss
    assert_eq!(asked[0].get("proxy-authorization"), Some("Basic dXNlckBjb3JwOnA6c3M="));
    assert_eq!(proxy.upstream.connections(), 1, "the connection is kept");
    assert!(!faregate.stderr().contains("dXNlckBjb3JwOnA6c3M="));
    assert!(!faregate.stderr().contains("p%3Ass"));
}

#[test]
fn https_targets_go_through_a_tunnel() {
    let authority = Authority::new();
    let far = Upstream::json(200, r#"{"served":"far"}"#);
    let bridge = front(far.address, authority.issue(&["far.test"]).server(&[], None));
    let proxy = Proxy::start(200, bridge.address);
    let with_user = proxy.url().replace("http://", "http://user:pass@");
    let more = format!("proxy: \"{with_user}\", tls: {{ ca: ca.pem }}");
    let faregate = Setup::new(&table("https://far.test/v1", &more)).file("ca.pem", &authority.pem).start();
    assert_eq!(served(&faregate), "far");
    assert_eq!(served(&faregate), "far");
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "one tunnel for both calls");
    assert_eq!(asked[0].line, "CONNECT far.test:443 HTTP/1.1");
    assert_eq!(asked[0].get("proxy-authorization"), Some("Basic dXNlcjpwYXNz"));
    let request = &far.requests()[0];
    assert_eq!(request.target, "/v1/chat/completions");
    assert_eq!(request.header("proxy-authorization"), None, "the proxy's credentials stay with the proxy");
}

#[test]
fn a_proxy_that_refuses_counts_as_no_connection_and_says_why() {
    let proxy = Proxy::start(407, refusing().0);
    let faregate = Faregate::start(&table("https://far.test/v1", &format!("proxy: \"{}\"", proxy.url())));
    let answer = post(faregate.api, "/v1/chat/completions", BODY);
    assert_eq!(answer.status, 502);
    faregate.wait_logged("refused CONNECT with status 407");
    assert_eq!(faregate.only_record()["outcome"], "upstream_connect");
}

#[test]
fn the_environment_names_the_proxy() {
    let authority = Authority::new();
    let far = Upstream::json(200, r#"{"served":"far"}"#);
    let bridge = front(far.address, authority.issue(&["far.test"]).server(&[], None));
    let proxy = Proxy::start(200, bridge.address);
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let setup = Setup::new(&table("https://far.test/v1", "tls: { ca: ca.pem }")).file("ca.pem", &authority.pem);
        assert_eq!(served(&setup.env(variable, &proxy.url()).start()), "far");
    }
    let plain = Setup::new(&table("http://far.test/v1", "")).env("HTTP_PROXY", &proxy.url()).start();
    assert_eq!(served(&plain), "proxy");
    assert_eq!(proxy.asked().last().unwrap().line, "POST http://far.test/v1/chat/completions HTTP/1.1");
}

#[test]
fn exempt_names_networks_and_loopback_are_reached_directly() {
    let proxy = Proxy::start(200, refusing().0);
    let near = Upstream::json(200, r#"{"served":"near"}"#);
    // Loopback is never sent to a proxy of the environment's, but to one of the configuration's.
    let setup = Setup::new(&table(&near.url(), "")).env("HTTP_PROXY", &proxy.url());
    assert_eq!(served(&setup.start()), "near");
    let setup = Setup::new(&table(&near.url(), &format!("proxy: \"{}\"", proxy.url())));
    assert_eq!(served(&setup.start()), "proxy");
    let setup = Setup::new(&table(&near.url(), "proxy: none")).env("HTTP_PROXY", &proxy.url());
    assert_eq!(served(&setup.start()), "near");
    // These have no way there but the proxy: exempt from it, they cannot be reached.
    for (host, exempt) in [
        ("far.invalid", "*"),
        ("far.invalid", "near.test, far.invalid"),
        ("api.far.invalid", ".far.invalid"),
        ("api.far.invalid", "far.invalid:80"),
        ("127.250.0.1:9", "127.0.0.0/8"),
    ] {
        let setup = Setup::new(&table(&format!("http://{host}/v1"), ""));
        let faregate = setup.env("HTTP_PROXY", &proxy.url()).env("NO_PROXY", exempt).start();
        let answer = post(faregate.api, "/v1/chat/completions", BODY);
        assert_eq!(answer.status, 502, "{host} with NO_PROXY={exempt}");
    }
    for (host, exempt) in
        [("far.invalid", "ar.invalid"), ("far.invalid", "far.invalid:8080"), ("192.0.2.1:9", "198.51.100.0/24")]
    {
        let setup = Setup::new(&table(&format!("http://{host}/v1"), ""));
        let faregate = setup.env("HTTP_PROXY", &proxy.url()).env("NO_PROXY", exempt).start();
        assert_eq!(served(&faregate), "proxy", "{host} with NO_PROXY={exempt}");
    }
}

/// `localhost` has an IPv6 and an IPv4 address; only one of them answers.
#[test]
fn every_address_of_a_name_is_tried() {
    let near = Upstream::json(200, r#"{"served":"near"}"#);
    let faregate = Faregate::start(&table(&format!("http://localhost:{}/v1", near.address.port()), ""));
    assert_eq!(served(&faregate), "near");
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let six = Upstream::on(listener, |peer| {
        while let Some(_request) = peer.read_request() {
            peer.json(200, r#"{"served":"six"}"#);
        }
    });
    let literal = Faregate::start(&table(&format!("http://[::1]:{}/v1", six.address.port()), ""));
    assert_eq!(served(&literal), "six");
}

#[test]
fn a_name_that_does_not_resolve_falls_back_and_holds_nobody_up() {
    let near = Upstream::json(200, r#"{"served":"near"}"#);
    let blackhole = Blackhole::new();
    let config = format!(
        "defaults: {{ retry: {{ budget: 1.0 }}, timeouts: {{ connect: 20s }} }}\nproviders:\n  \
         lost: {{ base_url: \"http://no-such-name.invalid/v1\", credentials: none }}\n  \
         hole: {{ base_url: \"http://{}/v1\", credentials: none }}\n  \
         near: {{ base_url: \"{}\", credentials: none }}\nroutes:\n\
         - {{ name: falls, match: {{ model: falls }}, targets: [{{ provider: lost }}, {{ provider: near }}] }}\n\
         - {{ name: hangs, match: {{ model: hangs }}, targets: [{{ provider: hole }}] }}\n\
         - {{ name: near, targets: [{{ provider: near }}] }}",
        blackhole.address,
        near.url()
    );
    let faregate = Faregate::start(&config);
    // Calls that wait for a connection of another provider's.
    let waiting: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = Client::connect(faregate.api);
            client.post("/v1/chat/completions", &[], BODY.replace("\"m\"", "\"hangs\""));
            client
        })
        .collect();
    post(faregate.api, "/v1/chat/completions", BODY.replace("\"m\"", "\"falls\"")).expect(200);
    assert_eq!(served(&faregate), "near");
    faregate.wait_logged("no-such-name.invalid");
    let records = faregate.wait_records(2);
    let record = records.iter().find(|record| record["route"] == "falls").unwrap();
    assert_eq!(attempt_outcomes(record), ["lost:upstream_connect", "near:ok"]);
    drop(waiting);
}
