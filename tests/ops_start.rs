//! Starting: what is wrong is said with what to do about it; inbound keys; the admin port.

mod support;

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Instant;

use support::tls::Authority;
use support::{Client, Faregate, Setup, Upstream, eventually, get, post, table};

const BODY: &str = r#"{"model":"m","messages":[]}"#;

/// Runs it with this configuration, which must fail; what it said.
#[track_caller]
fn fails(config: &str, files: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let provider = "providers: { local: { base_url: \"http://127.0.0.1:9/v1\", credentials: none } }";
    std::fs::write(dir.path().join("faregate.yaml"), format!("{config}\n{provider}\n")).unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_faregate"))
        .args(["run", "--config", "faregate.yaml"])
        .current_dir(dir.path())
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() && began.elapsed() < support::PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    let _started_after_all = child.kill();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[track_caller]
fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = fails(&format!("server: {{ listen: \"127.0.0.1:{port}\", admin: \"127.0.0.1:0\" }}"), &[]);
    assert_says(
        &said,
        &["server.listen", &format!("127.0.0.1:{port}"), "another process listens there", "not started"],
    );
    let said = fails(&format!("server: {{ listen: \"127.0.0.1:0\", admin: \"127.0.0.1:{port}\" }}"), &[]);
    assert_says(&said, &["server.admin"]);
    let said = fails("server: { listen: \"192.0.2.1:0\", admin: \"127.0.0.1:0\", allow_open: true }", &[]);
    assert_says(&said, &["server.listen", "no network interface here has this address"]);
}

/// Whoever has just seen the process start may ask for a reload or an upgrade at once.
#[test]
fn signals_of_the_first_moment_end_nothing() {
    for _ in 0..10 {
        let upstream = Upstream::json(200, "{}");
        let faregate = Faregate::start(&table::fallback(&[upstream.address]));
        faregate.signal("HUP");
        faregate.signal("USR2");
        post(faregate.api, "/v1/chat/completions", BODY).expect(200);
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let at = "server: { listen: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"";
    let said = fails(&format!("{at}, tls: {{ certificate: c.pem, key: k.pem }} }}"), &[]);
    assert_says(&said, &["server.tls", "c.pem"]);
    let authority = Authority::new();
    let (one, other) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    let files = [("c.pem", &*one.certificate), ("k.pem", &*other.key)];
    let said = fails(&format!("{at}, tls: {{ certificate: c.pem, key: k.pem }} }}"), &files);
    assert_says(&said, &["server.tls.key", "does not belong to the certificate"]);
    let files = [("c.pem", "no certificate"), ("k.pem", &*other.key)];
    let said = fails(&format!("{at}, tls: {{ certificate: c.pem, key: k.pem }} }}"), &files);
    assert_says(&said, &["server.tls.certificate"]);
    let said = fails(&format!("{at}, keys: [{{ name: a, key: {{ file: nowhere }} }}] }}"), &[]);
    assert_says(&said, &["server.keys"]);
    let said = fails(&format!("{at} }}\nobserve: {{ usage_records: {{ path: no/such/directory/u.jsonl }} }}"), &[]);
    assert_says(&said, &["observe.usage_records.path", "no/such/directory"]);
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_faregate"))
        .args(["run", "--config", "/nowhere/faregate.yaml"])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_says(&String::from_utf8(output.stderr).unwrap(), &["/nowhere/faregate.yaml", "cannot be opened"]);
}

#[test]
fn a_public_address_wants_a_key_or_a_word() {
    let said = fails("server: { listen: \"0.0.0.0:0\", admin: \"127.0.0.1:0\" }", &[]);
    assert_says(&said, &["server.listen", "allow_open"]);
    let upstream = Upstream::json(200, "{}");
    let table = table::fallback(&[upstream.address]);
    let open = Faregate::start(&format!("server: {{ listen: \"0.0.0.0:0\", allow_open: true }}\n{table}"));
    let near = std::net::SocketAddr::from(([127, 0, 0, 1], open.api.port()));
    post(near, "/v1/chat/completions", BODY).expect(200);
    let key = "keys: [{ name: a, key: { insecure_inline: secret-1 } }]";
    let keyed = Faregate::start(&format!("server: {{ listen: \"0.0.0.0:0\", {key} }}\n{table}"));
    let near = std::net::SocketAddr::from(([127, 0, 0, 1], keyed.api.port()));
    assert_eq!(post(near, "/v1/chat/completions", BODY).status, 401);
}

#[test]
fn who_has_no_key_is_refused_in_their_own_dialect() {
    let upstream = Upstream::json(200, "{}");
    let keys = "server: { keys: [{ name: team-a, key: { env: KEY_A } }, { name: team-b, key: { file: b } }] }";
    let faregate = Setup::new(&format!("{keys}\n{}", table::fallback(&[upstream.address])))
        .env("KEY_A", "secret-a")
        .file("b", "secret-b\n")
        .start();
    let call = |path: &str, header: &str| {
        let mut client = Client::connect(faregate.api);
        let headers: &[&str] = if header.is_empty() { &[] } else { &[header] };
        client.post(path, headers, BODY);
        client.response()
    };
    let refused = call("/v1/chat/completions", "").expect(401).json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("a key is needed"));
    let refused = call("/v1/messages", "").expect(401).json();
    assert_eq!((&refused["type"], &refused["error"]["type"]), (&"error".into(), &"authentication_error".into()));
    for wrong in ["secret-", "secret-aa", "Secret-a", ""] {
        let refused = call("/v1/chat/completions", &format!("authorization: Bearer {wrong}")).expect(401);
        assert!(refused.text().contains("not known"), "{}", refused.text());
    }
    assert!(upstream.requests().is_empty(), "nobody was let through");
    for header in
        ["authorization: Bearer secret-a", "x-api-key: secret-a", "api-key: secret-b", "Authorization: bearer secret-b"]
    {
        call("/v1/chat/completions", header).expect(200);
    }
    // The inbound key is ours: no provider sees it.
    for request in upstream.requests() {
        let raw = String::from_utf8_lossy(&request.head.raw).into_owned();
        assert!(!raw.contains("secret-"), "{raw}");
        assert_eq!(request.header("authorization"), Some("Bearer key-alpha"));
    }
    let calls = |app: &str| faregate.metrics().sum("faregate_requests_total", &[("app", app), ("outcome", "ok")]);
    eventually("calls counted by their key's name", || calls("team-a") == 2.0 && calls("team-b") == 2.0);
    // The admin port asks for no key, and the API shows none of its pages.
    get(faregate.admin, "/healthz").expect(200);
    let log = faregate.stderr();
    let records = faregate.stop();
    let refused = records.iter().filter(|record| record["outcome"] == "policy_denied").count();
    assert_eq!((records.len(), refused), (10, 6), "{records:#?}");
    assert!(!log.contains("secret-") && !serde_json::to_string(&records).unwrap().contains("secret-"));
}

#[test]
fn the_admin_port_answers_bad_requests_and_serves_no_calls() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    assert_eq!(post(faregate.admin, "/v1/chat/completions", BODY).status, 404);
    assert_eq!(get(faregate.admin, "/nowhere").status, 404);
    for (method, path, allow) in
        [("POST", "/healthz", "GET, HEAD"), ("DELETE", "/metrics", "GET, HEAD"), ("GET", "/admin/reload", "POST")]
    {
        let mut client = Client::connect(faregate.admin);
        client.ask(method, path, &["connection: close"]);
        let answer = client.response();
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
    }
    for path in ["/healthz", "/readyz", "/metrics", "/admin/table", "/admin/targets"] {
        get(faregate.admin, path).expect(200);
        let mut client = Client::connect(faregate.admin);
        client.ask("HEAD", path, &["connection: close"]);
        assert_eq!(client.response_to("HEAD").status, 200, "{path}");
        assert!(client.rest().is_empty(), "an answer to HEAD has a body");
        assert_eq!(get(faregate.api, path).status, 404, "{path} on the API's port");
    }
    for garbage in [
        "GET /healthz\r\n\r\n",
        "\x16\x03\x01\x02",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST /admin/reload HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
    ] {
        let mut client = Client::connect(faregate.admin);
        client.send(garbage);
        client.finish();
        let said = client.rest();
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4"), "{garbage:?}: {}", String::from_utf8_lossy(&said));
    }
    let mut client = Client::connect(faregate.admin);
    client.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(80 << 10)));
    assert_eq!(client.response().status, 431);
    get(faregate.admin, "/healthz").expect(200);
}

#[test]
fn a_health_check_needs_no_shell() {
    let upstream = Upstream::json(200, "{}");
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let ready = |admin: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faregate"));
        command.args(["ready", "--admin", admin]).args(more).output().unwrap()
    };
    let answered = ready(&format!("http://{}", faregate.admin), &[]);
    assert!(answered.status.success() && answered.stdout.is_empty(), "{answered:?}");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = ready(&format!("http://{nobody}"), &["--wait", "300ms"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_says(&String::from_utf8_lossy(&refused.stderr), &["not ready", &nobody.to_string(), "refused"]);
    let wrong = ready("localhost", &[]);
    assert_says(&String::from_utf8_lossy(&wrong.stderr), &["no URL such as http://127.0.0.1:4001"]);
}

#[test]
fn a_page_of_another_site_cannot_spend_where_there_is_no_key() {
    let upstream = Upstream::json(200, "{}");
    let call = |faregate: &Faregate, headers: &[&str]| {
        let mut client = Client::connect(faregate.api);
        client.post("/v1/chat/completions", headers, BODY);
        client.response()
    };
    let open = Faregate::start(&table::fallback(&[upstream.address]));
    let refused = call(&open, &["sec-fetch-site: cross-site", "content-type: text/plain"]).expect(401);
    assert!(refused.text().contains("a web page of another site"), "{}", refused.text());
    assert!(upstream.requests().is_empty());
    for site in ["same-origin", "same-site", "none"] {
        call(&open, &[&format!("sec-fetch-site: {site}")]).expect(200);
    }
    let keyed = Setup::new(&format!(
        "server: {{ keys: [{{ name: page, key: {{ env: KEY }} }}] }}\n{}",
        table::fallback(&[upstream.address])
    ))
    .env("KEY", "a-key-of-a-page")
    .start();
    call(&keyed, &["sec-fetch-site: cross-site", "authorization: Bearer a-key-of-a-page"]).expect(200);
    assert_eq!(open.stop().iter().filter(|record| record["outcome"] == "policy_denied").count(), 1);
}
