//! Clients that are slow, many, or silent: each costs what it may and no more.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::tls::Authority;
use support::{Client, Faregate, Gate, Setup, Upstream, eventually, get, post, table};

const BODY: &str = r#"{"model":"m","messages":[]}"#;

fn limited(server: &str, upstream: &Upstream) -> Faregate {
    Faregate::start(&format!("server: {{ {server} }}\n{}", table::fallback(&[upstream.address])))
}

#[test]
fn more_connections_than_allowed_wait_for_a_free_place() {
    let upstream = Upstream::json(200, "{}");
    let faregate = limited("limits: { connections: 2 }", &upstream);
    let kept: Vec<Client> = (0..2)
        .map(|_| {
            let mut client = Client::connect(faregate.api);
            client.post("/v1/chat/completions", &[], BODY);
            client.response().expect(200);
            client
        })
        .collect();
    let mut third = Client::connect(faregate.api);
    third.post("/v1/chat/completions", &[], BODY);
    // The admin port has places of its own.
    get(faregate.admin, "/healthz").expect(200);
    assert_eq!(upstream.requests().len(), 2, "the third waits");
    drop(kept);
    third.response().expect(200);
}

#[test]
fn idle_connections_and_slow_heads_are_closed() {
    let upstream = Upstream::json(200, "{}");
    let faregate = limited("client_timeouts: { idle: 100ms, head: 100ms, body: 100ms }", &upstream);
    let mut idle = Client::connect(faregate.api);
    assert!(idle.rest().is_empty(), "an idle connection is closed without a word");
    let mut kept = Client::connect(faregate.api);
    kept.post("/v1/chat/completions", &[], BODY);
    kept.response().expect(200);
    assert!(kept.rest().is_empty());
    let mut slow = Client::connect(faregate.api);
    slow.send("POST /v1/chat/completions HTTP/1.1\r\nhost:");
    assert_eq!(slow.response().status, 408);
    let mut slow = Client::connect(faregate.api);
    slow.send("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{");
    assert_eq!(slow.response().status, 408);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_tls_handshake_that_does_not_come_is_closed() {
    let pair = Authority::new().issue(&["localhost"]);
    let upstream = Upstream::json(200, "{}");
    let server = "tls: { certificate: c.pem, key: k.pem }, client_timeouts: { head: 100ms }";
    let faregate = Setup::new(&format!("server: {{ {server} }}\n{}", table::fallback(&[upstream.address])))
        .file("c.pem", &pair.certificate)
        .file("k.pem", &pair.key)
        .start();
    for hello in [&b""[..], b"\x16\x03\x01", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let mut stream = TcpStream::connect(faregate.api).unwrap();
        stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
        stream.write_all(hello).unwrap();
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
        assert!(!rest.starts_with(b"HTTP/"), "plain HTTP was answered on a TLS port");
    }
}

/// Out of file descriptors, it waits for some to be freed, without burning a core meanwhile.
#[test]
fn out_of_file_descriptors_it_waits_and_recovers() {
    let gate = Gate::default();
    let upstream = Upstream::json(200, "{}");
    let faregate = limited("", &upstream);
    post(faregate.api, "/v1/chat/completions", BODY).expect(200);
    let open = std::fs::read_dir(format!("/proc/{}/fd", faregate.pid())).unwrap().count();
    let limit = format!("--nofile={0}:{0}", open + 6);
    let set = std::process::Command::new("prlimit").args(["--pid", &faregate.pid().to_string(), &limit]).status();
    let Ok(true) = set.map(|status| status.success()) else { return };
    let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(faregate.api)).collect();
    faregate.wait_logged("connections cannot be accepted");
    let spent = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", faregate.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = spent();
    std::thread::sleep(std::time::Duration::from_secs(1));
    // In hundredths of a second: a spin would take one or two whole seconds of processor time.
    assert!(spent() - before < 50, "it spins: {} ticks in a second", spent() - before);
    assert_eq!(faregate.stderr().matches("connections cannot be accepted").count(), 1, "said once");
    clients.clear();
    eventually("calls to be served again", || {
        let mut client = Client::connect(faregate.api);
        client.post("/v1/chat/completions", &["connection: close"], BODY);
        client.response().status == 200
    });
    gate.open();
}
