//! What comes to the webhook's port that is no proper question, and what comes by either HTTP.

use serde_json::{Value, json};

use crate::api::admission::review;
use crate::api::{Api, CONFIG_MAPS, PODS};
use crate::process::Control;
use crate::support::{get, post};

const JSON: &str = "application/json";

fn pod() -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": "default",
        "labels": { "faregate.dev/inject": "true" } }, "spec": { "containers": [{ "name": "a", "image": "i" }] } })
}

#[test]
fn both_versions_of_http_answer_alike_and_what_is_no_question_is_told_why() {
    let api = Api::start();
    let control = Control::start(&api, &[]);
    let question = review(PODS, &pod()).to_string();
    let answers = [control.caller(&api), control.caller(&api).h2()]
        .map(|caller| caller.post("/inject/object?timeout=5s", JSON, question.as_bytes()).unwrap());
    assert_eq!(answers[0].0, 200);
    assert_eq!(answers[0], answers[1]);
    let answer: Value = serde_json::from_slice(&answers[0].1).unwrap();
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["patchType"], "JSONPatch");

    let caller = control.caller(&api);
    let said = |method: &str, path: &str, kind: &str, body: &[u8]| {
        let (status, body) = caller.send(method, path, kind, body).unwrap();
        (status, String::from_utf8(body).unwrap())
    };
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut question = review(PODS, &pod());
        change(&mut question);
        question.to_string().into_bytes()
    };
    for (path, body, status, words) in [
        ("/inject/object", b"not json".to_vec(), 400, "this is no JSON"),
        ("/inject/object", b"{}".to_vec(), 400, "this is no AdmissionReview"),
        ("/inject/object", vec![b'['; 10_000], 400, "this is no JSON"),
        (
            "/inject/object",
            changed(&|q| q["apiVersion"] = json!("admission.k8s.io/v1beta1")),
            400,
            "set admissionReviewVersions to [v1]",
        ),
        ("/inject/object", changed(&|q| q["request"]["operation"] = json!("UPDATE")), 400, "for the operation CREATE"),
        (
            "/inject/object",
            changed(&|q| q["request"]["resource"]["resource"] = json!("services")),
            400,
            "this path is for pods.v1, not for services.v1",
        ),
        ("/inject/object", changed(&|q| q["request"]["subResource"] = json!("status")), 400, "not for pods.v1/status"),
        ("/validate", question.clone().into_bytes(), 400, "not for pods.v1"),
        ("/mutate", question.clone().into_bytes(), 404, "here are POST /inject/namespace"),
    ] {
        let (got, text) = said("POST", path, JSON, &body);
        assert_eq!(got, status, "{path}: {text}");
        assert!(text.contains(words), "{path}: {text}");
    }
    // Refused before it was read; HTTP/2 lets the client hear so while it is still sending.
    let (status, body) = control.caller(&api).h2().post("/inject/object", JSON, &vec![b' '; (3 << 20) + 1]).unwrap();
    assert_eq!((status, &*String::from_utf8(body).unwrap()), (413, "the body is larger than 3072 KiB\n"));
    assert_eq!(said("POST", "/inject/object", "text/plain", question.as_bytes()).0, 415);
    assert_eq!(said("GET", "/inject/object", JSON, b"").0, 405);
    // A pod of 3 MB is a pod.
    let mut large = pod();
    large["metadata"]["annotations"] = json!({ "example.com/x": "x".repeat(2 << 20) });
    assert_eq!(said("POST", "/inject/object", JSON, review(PODS, &large).to_string().as_bytes()).0, 200);
    // Garbage instead of TLS harms nobody.
    let plain = std::net::TcpStream::connect(control.webhook).unwrap();
    std::io::Write::write_all(&mut &plain, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(said("POST", "/inject/object", JSON, question.as_bytes()).0, 200);

    let metrics = control.metrics();
    let count =
        |result: &str| metrics.sum("faregate_control_admissions_total", &[("webhook", "inject"), ("result", result)]);
    assert_eq!(count("injected"), 4.0);
    assert_eq!(count("malformed"), 9.0);
}

#[test]
fn a_dry_run_gets_the_same_answer_and_a_denial_says_what_to_change() {
    let api = Api::start();
    let control = Control::start(&api, &[]);
    let ask = |question: &Value| -> Value {
        let (status, body) =
            control.caller(&api).post("/inject/object", JSON, question.to_string().as_bytes()).unwrap();
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    };
    let mut question = review(PODS, &pod());
    let answer = ask(&question);
    question["request"]["dryRun"] = json!(true);
    assert_eq!(ask(&question), answer);
    let metrics = control.metrics();
    assert_eq!(metrics.sum("faregate_control_admissions_total", &[("result", "dry_run")]), 1.0);

    let mut wrong = pod();
    wrong["metadata"]["annotations"] = json!({ "faregate.dev/port": "x", "faregate.dev/modes": "env" });
    let answer = ask(&review(PODS, &wrong));
    assert_eq!(answer["response"]["allowed"], false);
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("faregate.dev/port: `x` is no port from 1024 to 65535"), "{message}");
    assert!(message.contains("do you mean faregate.dev/mode?"), "{message}");
    let mut unclear = pod();
    unclear["metadata"]["labels"]["faregate.dev/inject"] = json!("yes");
    let answer = ask(&review(PODS, &unclear));
    assert!(answer["response"]["status"]["message"].as_str().unwrap().contains("neither `true` nor `false`"));
    // What asks in vain hears why.
    let mut windows = pod();
    windows["spec"]["os"] = json!({ "name": "windows" });
    let answer = ask(&review(PODS, &windows));
    assert_eq!(answer["response"]["allowed"], true);
    assert!(answer["response"]["warnings"][0].as_str().unwrap().contains("runs on Windows"));
}

#[test]
fn the_admin_port_tells_of_health() {
    let api = Api::start();
    let control = Control::start(&api, &[]);
    get(control.admin, "/healthz").expect(200);
    assert_eq!(get(control.admin, "/elsewhere").status, 404);
    assert_eq!(get(control.admin, "/runbooks/Elsewhere.md").status, 404);
    let page = get(control.admin, "/runbooks/FaregateCertificateExpires.md").expect(200);
    assert!(page.text().starts_with("# FaregateCertificateExpires\n"));
    assert_eq!(post(control.admin, "/healthz", "").status, 405);
    let text = get(control.admin, "/metrics").expect(200).text().to_owned();
    assert!(text.contains("faregate_control_certificate_expiry_timestamp_seconds{certificate=\"serving\"}"), "{text}");
    assert!(control.stop().success());
}

#[test]
fn a_config_map_without_the_label_is_nobodys_table() {
    let api = Api::start();
    let control = Control::start(&api, &[]);
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c", "namespace": "default" },
        "data": { "faregate.yaml": "a: [" } });
    let body = review(CONFIG_MAPS, &object).to_string();
    let (status, answer) = control.caller(&api).post("/validate", JSON, body.as_bytes()).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(true)));
}
