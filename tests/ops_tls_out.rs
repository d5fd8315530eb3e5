//! TLS and HTTP/2 towards providers: who is trusted, who is refused and says why, and what travels over HTTP/2.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use h2::Reason;
use support::h2::{H2Reply, H2Upstream};
use support::tls::{Authority, Bridge, Pair, front};
use support::{Client, Faregate, Gate, Setup, Upstream, eventually, post};

const BODY: &str = r#"{"model":"m","messages":[]}"#;
const STREAMED: &str = r#"{"model":"m","stream":true,"messages":[]}"#;

/// `secure` over TLS with these settings, then `beta` without.
fn table(secure: SocketAddr, settings: &str, beta: &Upstream) -> String {
    format!(
        "providers:\n  secure: {{ base_url: \"https://localhost:{}/v1\", credentials: none, {settings} }}\n  \
         beta: {{ base_url: \"{}\", credentials: none }}\n\
         routes: [{{ name: r, targets: [{{ provider: secure }}, {{ provider: beta }}] }}]",
        secure.port(),
        beta.url()
    )
}

fn alpha() -> Upstream {
    Upstream::json(200, r#"{"served":"secure"}"#)
}

fn beta() -> Upstream {
    Upstream::json(200, r#"{"served":"beta"}"#)
}

fn plain(pair: &Pair, upstream: &Upstream) -> Bridge {
    front(upstream.address, pair.server(&[], None))
}

#[track_caller]
fn served(faregate: &Faregate) -> String {
    post(faregate.api, "/v1/chat/completions", BODY).expect(200).json()["served"].as_str().unwrap().to_owned()
}

/// The secure provider is refused with this reason, and the call falls back.
#[track_caller]
fn refused(faregate: Faregate, reason: &str) {
    assert_eq!(served(&faregate), "beta");
    faregate.wait_logged(reason);
    let record = faregate.only_record();
    assert_eq!(support::attempt_outcomes(&record), ["secure:upstream_connect", "beta:ok"]);
}

#[test]
fn a_given_authority_is_trusted() {
    let (authority, alpha, beta) = (Authority::new(), alpha(), beta());
    let bridge = plain(&authority.issue(&["localhost"]), &alpha);
    let config = support::table::one_worker(&table(bridge.address, "tls: { ca: ca.pem }", &beta));
    let faregate = Setup::new(&config).file("ca.pem", &authority.pem).start();
    assert_eq!(served(&faregate), "secure");
    assert_eq!(served(&faregate), "secure");
    assert_eq!(bridge.made(), 1, "the connection is kept");
}

#[test]
fn the_systems_authorities_are_trusted_where_none_is_given() {
    let (authority, alpha, beta) = (Authority::new(), alpha(), beta());
    let bridge = plain(&authority.issue(&["localhost"]), &alpha);
    let setup = Setup::new(&table(bridge.address, "", &beta)).file("system.pem", &authority.pem);
    let system = setup.path().join("system.pem");
    assert_eq!(served(&setup.env("SSL_CERT_FILE", system.to_str().unwrap()).start()), "secure");
    // The same, of another authority than the provider's.
    let setup = Setup::new(&table(bridge.address, "", &beta)).file("system.pem", Authority::new().pem);
    let system = setup.path().join("system.pem");
    refused(setup.env("SSL_CERT_FILE", system.to_str().unwrap()).start(), "UnknownIssuer");
}

#[test]
fn an_unknown_authority_is_refused() {
    let (authority, alpha, beta) = (Authority::new(), alpha(), beta());
    let bridge = plain(&authority.issue(&["localhost"]), &alpha);
    let setup = Setup::new(&table(bridge.address, "tls: { ca: ca.pem }", &beta)).file("ca.pem", Authority::new().pem);
    refused(setup.start(), "UnknownIssuer");
    assert!(alpha.requests().is_empty());
}

#[test]
fn another_hosts_certificate_is_refused() {
    let (authority, alpha, beta) = (Authority::new(), alpha(), beta());
    let bridge = plain(&authority.issue(&["elsewhere.test"]), &alpha);
    let settings = "tls: { ca: ca.pem }";
    let setup = Setup::new(&table(bridge.address, settings, &beta)).file("ca.pem", &authority.pem);
    refused(setup.start(), "not valid for");
    // Unless that is the name to expect.
    let settings = "tls: { ca: ca.pem, server_name: elsewhere.test }";
    let setup = Setup::new(&table(bridge.address, settings, &beta)).file("ca.pem", &authority.pem);
    assert_eq!(served(&setup.start()), "secure");
}

#[test]
fn an_expired_certificate_is_refused() {
    let (authority, alpha, beta) = (Authority::new(), alpha(), beta());
    let bridge = plain(&authority.expired(&["localhost"]), &alpha);
    let setup = Setup::new(&table(bridge.address, "tls: { ca: ca.pem }", &beta)).file("ca.pem", &authority.pem);
    refused(setup.start(), "xpired");
}

#[test]
fn something_that_speaks_no_tls_is_refused() {
    let alpha = Upstream::raw(|peer| {
        peer.send("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
        peer.wait_closed();
    });
    let beta = beta();
    let ca = Authority::new().pem;
    let setup = Setup::new(&table(alpha.address, "tls: { ca: ca.pem }", &beta)).file("ca.pem", ca);
    let faregate = setup.start();
    assert_eq!(served(&faregate), "beta");
    assert_eq!(support::attempt_outcomes(&faregate.only_record()), ["secure:upstream_connect", "beta:ok"]);
}

#[test]
fn a_client_certificate_is_shown_where_one_is_given() {
    let (authority, alpha, beta) = (Authority::new(), alpha(), beta());
    let bridge = front(alpha.address, authority.issue(&["localhost"]).server(&[], Some(&authority)));
    let mine = authority.issue(&["faregate.test"]);
    let settings = "tls: { ca: ca.pem, certificate: mine.pem, key: mine.key }";
    let faregate = Setup::new(&table(bridge.address, settings, &beta))
        .file("ca.pem", &authority.pem)
        .file("mine.pem", &mine.certificate)
        .file("mine.key", &mine.key)
        .start();
    assert_eq!(served(&faregate), "secure");
    let without = Setup::new(&table(bridge.address, "tls: { ca: ca.pem }", &beta)).file("ca.pem", &authority.pem);
    assert_eq!(served(&without.start()), "beta");
}

/// The provider moves to another authority; the operator replaces the file, and nothing else.
#[test]
fn a_rotated_authority_is_trusted_without_a_reload() {
    let (old, new, beta) = (Authority::new(), Authority::new(), beta());
    let alpha = Upstream::start(|peer, _| {
        peer.reply(200, &["content-type: application/json", "connection: close"], r#"{"served":"secure"}"#);
        peer.close();
    });
    let bridge = plain(&new.issue(&["localhost"]), &alpha);
    let config = format!(
        "defaults: {{ health: {{ consecutive_failures: 0, error_rate: 1.0 }}, retry: {{ budget: 1.0 }} }}\n{}",
        table(bridge.address, "tls: { ca: ca.pem }", &beta)
    );
    let faregate = Setup::new(&config).file("ca.pem", &old.pem).start();
    assert_eq!(served(&faregate), "beta");
    fs::write(faregate.path().join("ca.pem"), &new.pem).unwrap();
    eventually("trust in the new authority", || served(&faregate) == "secure");
    // Half a file changes nothing.
    fs::write(faregate.path().join("ca.pem"), &new.pem[..new.pem.len() / 2]).unwrap();
    faregate.wait_logged("cannot be used");
    assert_eq!(served(&faregate), "secure");
}

#[test]
fn more_connections_than_allowed_fall_back() {
    let gate = Gate::default();
    let held = gate.clone();
    let alpha = Upstream::start(move |peer, _| {
        held.wait();
        peer.json(200, r#"{"served":"secure"}"#);
    });
    let (authority, beta) = (Authority::new(), beta());
    let bridge = plain(&authority.issue(&["localhost"]), &alpha);
    let settings = "tls: { ca: ca.pem }, max_connections: 1";
    let faregate = Setup::new(&table(bridge.address, settings, &beta)).file("ca.pem", &authority.pem).start();
    let mut first = Client::connect(faregate.api);
    first.post("/v1/chat/completions", &[], BODY);
    alpha.wait_requests(1);
    assert_eq!(served(&faregate), "beta");
    faregate.wait_logged("all 1 connections to localhost");
    gate.open();
    assert_eq!(first.response().expect(200).json()["served"], "secure");
    eventually("the connection to be free again", || served(&faregate) == "secure");
}

fn over_h2(
    reply: impl Fn(&support::h2::H2Request) -> H2Reply + Send + Sync + 'static,
) -> (H2Upstream, Faregate, Upstream) {
    let (authority, beta) = (Authority::new(), beta());
    let upstream = H2Upstream::start(authority.issue(&["localhost"]).server(&["h2"], None), reply);
    let settings = "tls: { ca: ca.pem }, http: \"2\"";
    let faregate = Setup::new(&table(upstream.address, settings, &beta)).file("ca.pem", &authority.pem).start();
    (upstream, faregate, beta)
}

fn reply(chunks: &[&'static str]) -> H2Reply {
    H2Reply {
        status: 200,
        headers: vec![("content-type", "application/json")],
        chunks: chunks.to_vec(),
        ..H2Reply::default()
    }
}

#[test]
fn calls_share_one_http2_connection() {
    let (upstream, faregate, _) = over_h2(|_| reply(&["{\"served\":", "\"secure\"}"]));
    for _ in 0..5 {
        assert_eq!(served(&faregate), "secure");
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
    let request = upstream.requests().remove(0);
    assert_eq!(request.body, BODY.as_bytes());
    assert_eq!(request.uri, format!("https://localhost:{}/v1/chat/completions", upstream.address.port()));
    assert_eq!(request.headers["content-length"], BODY.len().to_string());
    for header in ["connection", "transfer-encoding", "keep-alive"] {
        assert!(!request.headers.contains_key(header), "{header} over HTTP/2");
    }
    let metrics = faregate.metrics();
    assert_eq!(metrics.sum("faregate_upstream_connections_total", &[("provider", "secure"), ("reused", "true")]), 4.0);
}

#[test]
fn a_stream_over_http2_comes_chunk_by_chunk() {
    let gate = Gate::default();
    let held = gate.clone();
    let (_, faregate, _) = over_h2(move |_| H2Reply {
        headers: vec![("content-type", "text/event-stream")],
        chunks: vec!["data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n", "data: [DONE]\n\n"],
        gate: Some(held.clone()),
        ..reply(&[])
    });
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], STREAMED);
    client.head();
    client.chunks_until("one");
    gate.open();
    client.chunks_until("[DONE]");
    assert_eq!(client.chunk(), None);
}

#[test]
fn a_client_that_goes_away_resets_the_stream_and_keeps_the_connection() {
    let gate = Gate::default();
    let held = gate.clone();
    let (upstream, faregate, _) = over_h2(move |request| {
        if !request.body.ends_with(STREAMED.as_bytes())
            && !String::from_utf8_lossy(&request.body).contains("\"stream\":true")
        {
            return reply(&["{\"served\":\"secure\"}"]);
        }
        H2Reply {
            headers: vec![("content-type", "text/event-stream")],
            chunks: vec!["data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n", "data: [DONE]\n\n"],
            gate: Some(held.clone()),
            ..reply(&[])
        }
    });
    let mut client = Client::connect(faregate.api);
    client.post("/v1/chat/completions", &[], STREAMED);
    client.head();
    client.chunks_until("one");
    drop(client);
    eventually("a reset at the upstream", || upstream.resets.load(Ordering::SeqCst) == 1);
    assert_eq!(served(&faregate), "secure");
    gate.open();
    let records = faregate.stop();
    let outcomes: Vec<_> = records.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["client_disconnected", "ok"]);
}

#[test]
fn trailers_come_through_from_http2() {
    let (_, faregate, _) =
        over_h2(|_| H2Reply { trailers: vec![("x-checksum", "abc")], ..reply(&["{\"served\":\"secure\"}"]) });
    let mut client = Client::connect(faregate.api);
    client.ask("GET", "/secure/v1/files", &["te: trailers"]);
    let answer = client.response().expect(200);
    assert_eq!(answer.trailers, ["x-checksum: abc"]);
}

#[test]
fn a_stream_that_is_reset_before_any_content_falls_back() {
    let (_, faregate, _) = over_h2(|_| H2Reply { reset: Some(Reason::INTERNAL_ERROR), ..reply(&[]) });
    assert_eq!(served(&faregate), "beta");
    let record = faregate.only_record();
    assert_eq!(support::attempt_outcomes(&record), ["secure:upstream_error", "beta:ok"]);
}

#[test]
fn a_provider_without_http2_is_refused_where_it_was_asked_for() {
    let (authority, alpha, beta) = (Authority::new(), alpha(), beta());
    let bridge = front(alpha.address, authority.issue(&["localhost"]).server(&["http/1.1"], None));
    let settings = "tls: { ca: ca.pem }, http: \"2\"";
    let setup = Setup::new(&table(bridge.address, settings, &beta)).file("ca.pem", &authority.pem);
    let faregate = setup.start();
    assert_eq!(served(&faregate), "beta");
    assert_eq!(support::attempt_outcomes(&faregate.only_record()), ["secure:upstream_connect", "beta:ok"]);
}

#[test]
fn large_bodies_cross_http2_both_ways() {
    let big: &'static str = Box::leak(format!("{{\"served\":\"{}\"}}", "x".repeat(3 << 20)).into_boxed_str());
    let (upstream, faregate, _) = over_h2(move |_| reply(&[big]));
    let body = format!("{{\"model\":\"m\",\"messages\":[\"{}\"]}}", "y".repeat(5 << 20));
    let answer = post(faregate.api, "/v1/chat/completions", &body).expect(200);
    assert_eq!(answer.body, big.as_bytes());
    assert_eq!(upstream.requests()[0].body, body.as_bytes());
}
