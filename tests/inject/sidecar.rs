//! The container that is injected, started as kubelet would start it: its arguments, its variables, its volumes. A call
//! by the app's variables reaches the provider with the key that the app does not have.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use super::support::{Client, Setup, Upstream, eventually};
use super::{folder, inject};
use faregate::control::manifest;

const CALL: &str = r#"{"model":"gpt-5","messages":[{"role":"user","content":"Hello"}]}"#;

/// A pod of the corpus, injected.
fn pod(name: &str) -> Value {
    let text = fs::read_to_string(folder("pods").join(format!("{name}.yaml"))).unwrap();
    let outcome = inject(&text);
    assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
    manifest::value(&outcome.text).unwrap()
}

/// The variables of a container as kubelet gives them to its process.
fn environment(container: &Value) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::<String, String>::new();
    for variable in container["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("metadata.namespace") => "shop".to_owned(),
            Some("metadata.name") => "pod-1".to_owned(),
            Some(other) => panic!("{other}"),
            None => variable["value"].as_str().unwrap().to_owned(),
        };
        let expand = |value: String, (known, text): (&String, &String)| value.replace(&format!("$({known})"), text);
        environment.insert(name.into(), environment.iter().fold(value, expand));
    }
    environment
}

/// Writes a Secret's volume as kubelet does: a directory of its own for each version, and a link that is swapped.
fn mount(at: &Path, version: u32, files: &[(&str, &str)]) {
    let directory = format!("..{version}");
    fs::create_dir_all(at.join(&directory)).unwrap();
    for (name, text) in files {
        fs::write(at.join(&directory).join(name), text).unwrap();
    }
    symlink(&directory, at.join("..data_tmp")).unwrap();
    fs::rename(at.join("..data_tmp"), at.join("..data")).unwrap();
    for (name, _) in files {
        let _exists = symlink(format!("..data/{name}"), at.join(name));
    }
}

#[test]
fn a_keyless_app_calls_by_its_variables_and_the_sidecar_adds_the_key() {
    let pod = pod("deployment");
    let pod = &pod["spec"]["template"];
    let sidecar = &pod["spec"]["initContainers"][0];
    assert_eq!(sidecar["args"], serde_json::json!(["run", "--listen=127.0.0.1:4000", "--admin=0.0.0.0:4001"]));
    let of_sidecar = environment(sidecar);
    assert_eq!(of_sidecar["FAREGATE_APP"], "shop/deployment");
    assert_eq!(sidecar["volumeMounts"][0]["mountPath"], of_sidecar["FAREGATE_CREDENTIALS"].as_str());

    let upstream = Upstream::json(200, r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#);
    let volumes = tempfile::tempdir().unwrap();
    mount(volumes.path(), 1, &[("OPENAI_API_KEY", "sk-first\n")]);
    let configuration = format!("providers:\n  openai: {{ base_url: \"http://{}/v1\" }}\n", upstream.address);
    let faregate = Setup::new(&configuration)
        .env("FAREGATE_APP", &of_sidecar["FAREGATE_APP"])
        .env("FAREGATE_CREDENTIALS", volumes.path().to_str().unwrap())
        .start();

    let app = &pod["spec"]["containers"][0];
    let of_app = environment(app);
    assert!(app["volumeMounts"].is_null() && !app.to_string().contains("llm-keys"));
    let call = |client: &mut Client| {
        let base = of_app["OPENAI_BASE_URL"].strip_prefix("http://127.0.0.1:4000").unwrap();
        let key = format!("authorization: Bearer {}", of_app["OPENAI_API_KEY"]);
        client.post(&format!("{base}/chat/completions"), &[&key], CALL);
        client.response().expect(200);
        let head = upstream.requests().pop().unwrap().head;
        head.all("authorization").join("|")
    };
    let mut client = Client::connect(faregate.api);
    assert_eq!(call(&mut client), "Bearer sk-first");
    // The Secret is rotated: no restart, no reload.
    mount(volumes.path(), 2, &[("OPENAI_API_KEY", "sk-second")]);
    eventually("the new key", || call(&mut client) == "Bearer sk-second");
    let records = faregate.stop();
    assert_eq!(records[0]["app"], "shop/deployment");
    assert!(!records.iter().any(|record| record.to_string().contains("sk-")));
}

/// As docs/cookbook.md tells: by the workload, or by the name that an annotation gives to many.
#[test]
fn the_calls_of_a_pod_take_the_route_of_its_app() {
    let ways = [r#"{"way":"nightly"}"#, r#"{"way":"shop"}"#, r#"{"way":"others"}"#].map(|way| Upstream::json(200, way));
    let mut configuration = String::from("providers:\n");
    for (name, upstream) in ["p1", "p2", "openai"].iter().zip(&ways) {
        configuration
            .push_str(&format!("  {name}: {{ base_url: \"http://{}/v1\", credentials: none }}\n", upstream.address));
    }
    configuration.push_str(
        "routes:\n- { name: nightly, match: { app: nightly }, targets: [{ provider: p1 }] }\n- { name: shop, match: { app: \
         \"shop/*\" }, targets: [{ provider: p2 }] }\n- { name: others, targets: [{ provider: openai }] }\n",
    );
    let annotated = |name: &str| {
        let text = fs::read_to_string(folder("pods/plain.yaml")).unwrap();
        let outcome =
            inject(&text.replacen("metadata:", &format!("metadata:\n  annotations: {{faregate.dev/app: {name}}}"), 1));
        assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
        manifest::value(&outcome.text).unwrap()
    };
    for (pod, way) in [(annotated("nightly"), "nightly"), (pod("plain"), "shop"), (annotated("someone"), "others")] {
        let app = &environment(&pod["spec"]["initContainers"][0])["FAREGATE_APP"];
        let base = &environment(&pod["spec"]["containers"][0])["OPENAI_BASE_URL"];
        let faregate = Setup::new(&configuration).env("FAREGATE_APP", app).start();
        let mut client = Client::connect(faregate.api);
        let path = base.strip_prefix("http://127.0.0.1:4000").unwrap();
        client.post(&format!("{path}/chat/completions"), &[], CALL);
        assert_eq!(client.response().expect(200).json()["way"], way, "{app}");
    }
}

#[test]
fn without_a_configuration_the_providers_of_the_secret_are_on() {
    let volumes = tempfile::tempdir().unwrap();
    mount(volumes.path(), 1, &[("ANTHROPIC_API_KEY", "sk-a"), ("NOTHING_OF_OURS", "x"), ("GROQ_API_KEY", " \n")]);
    let faregate = Setup::without_config().env("FAREGATE_CREDENTIALS", volumes.path().to_str().unwrap()).start();
    faregate.wait_logged("provider `anthropic` is on");
    let said = faregate.stderr();
    assert!(!said.contains("groq") && !said.contains("simulated") && !said.contains("sk-a"), "{said}");
}

#[test]
fn the_environment_wins_over_the_files() {
    let upstream = Upstream::json(200, "{}");
    let volumes = tempfile::tempdir().unwrap();
    mount(volumes.path(), 1, &[("OPENAI_API_KEY", "from-file"), ("MINE", "mine-from-file")]);
    let configuration = format!(
        "providers:\n  openai: {{ base_url: \"http://{0}/v1\" }}\n  mine: {{ base_url: \"http://{0}/v1\", credentials: \
         {{ env: MINE }} }}\n",
        upstream.address
    );
    let faregate = Setup::new(&configuration)
        .env("OPENAI_API_KEY", "from-environment")
        .env("FAREGATE_CREDENTIALS", volumes.path().to_str().unwrap())
        .start();
    let key = |path: &str| {
        let mut client = Client::connect(faregate.api);
        client.post(path, &[], CALL);
        client.response().expect(200);
        upstream.requests().pop().unwrap().head.get("authorization").unwrap_or_default().to_owned()
    };
    assert_eq!(key("/openai/v1/chat/completions"), "Bearer from-environment");
    assert_eq!(key("/mine/v1/chat/completions"), "Bearer mine-from-file");
}

/// The injected arguments are such as `faregate run` takes, IPv6 included.
#[test]
fn the_injected_arguments_are_understood() {
    for (name, arguments) in [("every-annotation", 4), ("plain", 3)] {
        let pod = pod(name);
        let given = pod["spec"]["initContainers"][0]["args"].as_array().unwrap();
        assert_eq!(given.len(), arguments, "{given:?}");
        for argument in given.iter().filter_map(Value::as_str) {
            if let Some(address) = argument.strip_prefix("--listen=").or_else(|| argument.strip_prefix("--admin=")) {
                address.parse::<SocketAddr>().unwrap();
            }
        }
    }
    let mut settings = super::settings();
    settings.admin_address = "::".parse().unwrap();
    settings.run_as_user = None;
    let injector = faregate::control::inject::Injector::new(settings).unwrap();
    let text = fs::read_to_string(folder("pods/plain.yaml")).unwrap();
    let outcome = manifest::inject(&text, &injector, "shop", &|_| Default::default());
    assert!(outcome.text.contains("--admin=[::]:4001"), "{}", outcome.text);
    assert!(!outcome.text.contains("runAsUser"));
}

/// With a control plane: its address, a token for it, memory for the last good table; all of it gone with the setting.
#[test]
fn a_sidecar_of_a_control_plane_gets_its_address_a_token_and_memory() {
    let injector = |control: Option<&str>| {
        let settings = faregate::control::inject::Settings { control: control.map(Into::into), ..super::settings() };
        faregate::control::inject::Injector::new(settings).unwrap()
    };
    let with = injector(Some("https://faregate-control.faregate-system.svc:9444"));
    let inject = |injector: &faregate::control::inject::Injector, text: &str| {
        manifest::inject(text, injector, "shop", &|_| Default::default()).text
    };
    let text = fs::read_to_string(folder("pods/plain.yaml")).unwrap();
    let once = inject(&with, &text);
    assert_eq!(inject(&with, &once), once);
    let pod = manifest::value(&once).unwrap();
    let sidecar = &pod["spec"]["initContainers"][0];
    let environment = environment(sidecar);
    let state = environment["FAREGATE_STATE"].clone();
    let token = Path::new(&environment["FAREGATE_CONTROL_TOKEN"]);
    assert_eq!(environment["FAREGATE_CONTROL"], "https://faregate-control.faregate-system.svc:9444");
    assert!(!environment.contains_key("FAREGATE_CONTROL_CA"), "the system's authorities");
    let mounted = |at: &Path| {
        let mounts = sidecar["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["mountPath"] == at.to_str().unwrap()).unwrap();
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        (mount["readOnly"] == true, volume.clone())
    };
    let (read_only, volume) = mounted(Path::new(&state));
    assert!(!read_only);
    assert_eq!(volume["emptyDir"]["medium"], "Memory");
    let (read_only, volume) = mounted(token.parent().unwrap());
    assert!(read_only);
    let source = &volume["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(source["audience"], faregate::control::inject::AUDIENCE);
    assert_eq!(source["path"], token.file_name().unwrap().to_str().unwrap());
    // The app gets none of it.
    assert!(!pod["spec"]["containers"].to_string().contains("faregate-token"));

    // An authority that comes and goes is no other template; one that the settings name is.
    let trusting = with.clone().with_trust("-----BEGIN CERTIFICATE-----".into());
    let trusted = inject(&trusting, &text);
    assert!(trusted.contains("FAREGATE_CONTROL_CA"));
    let status = |text: &str| manifest::value(text).unwrap()["metadata"]["annotations"]["faregate.dev/status"].clone();
    assert_eq!(status(&trusted), status(&once));
    assert_eq!(inject(&with, &trusted), trusted);

    let without = inject(&injector(None), &once);
    assert_eq!(without, inject(&injector(None), &text));
}
