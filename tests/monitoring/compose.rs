//! The laptop's compose file: everything that it names is there, nothing listens beyond the machine, and what is mounted
//! is where the programs look for it. (Whether the images start is tried by hand: it takes a container runtime.)

use std::path::PathBuf;
use std::process::Command;

use serde_yaml::Value;

use super::{files, read, root};

fn folder() -> PathBuf {
    root().join("deploy/compose")
}

fn document(name: &str) -> Value {
    serde_yaml::from_str(&read(folder().join(name))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    let list = value.get(key).and_then(Value::as_sequence);
    list.into_iter().flatten().map(|it| it.as_str().unwrap_or_else(|| panic!("{key}: {it:?}"))).collect()
}

/// The host's side of a service's mounts by the container's.
fn mounts(service: &Value) -> Vec<(PathBuf, &str)> {
    let binds = texts(service, "volumes").into_iter().filter(|mount| mount.starts_with('.'));
    binds
        .map(|mount| {
            let mut parts = mount.split(':');
            let (host, container) = (parts.next().unwrap(), parts.next().unwrap());
            assert_eq!(parts.next(), Some("ro"), "{mount}");
            (folder().join(host), container)
        })
        .collect()
}

#[test]
fn every_service_is_pinned_and_keeps_to_this_machine() {
    let compose = document("compose.yaml");
    let services = compose["services"].as_mapping().unwrap();
    let names: Vec<&str> = services.keys().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, ["faregate", "prometheus", "grafana", "traffic"]);
    for (name, service) in services {
        let image = service["image"].as_str().unwrap();
        if name != "faregate" {
            let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
            assert!(tag.trim_start_matches('v').split('.').count() == 3, "{image}: a whole version");
        }
        if let Some(build) = service.get("build") {
            let context = folder().join(build["context"].as_str().unwrap());
            assert!(context.join(build["dockerfile"].as_str().unwrap()).exists(), "{build:?}");
        }
        for port in texts(service, "ports") {
            assert!(port.starts_with("127.0.0.1:"), "{port} is open to the network");
        }
        for dependency in texts(service, "depends_on") {
            assert!(names.contains(&dependency), "{dependency}");
        }
        for (host, container) in mounts(service) {
            assert!(host.exists(), "{} for {container}", host.display());
        }
        for volume in texts(service, "volumes").into_iter().filter(|mount| !mount.starts_with('.')) {
            assert!(compose["volumes"].get(volume.split(':').next().unwrap()).is_some(), "{volume}");
        }
    }
}

#[test]
fn what_is_mounted_is_where_it_is_looked_for() {
    let compose = document("compose.yaml");
    let service = |name: &str| &compose["services"][name];
    let at = |name: &str, path: &str| {
        let found = mounts(service(name)).into_iter().find(|(_, container)| *container == path);
        found.unwrap_or_else(|| panic!("{name}: nothing at {path}")).0.canonicalize().unwrap()
    };
    let rules = document("prometheus.yml")["rule_files"][0].as_str().unwrap().to_owned();
    let (place, pattern) = rules.rsplit_once('/').unwrap();
    assert_eq!((at("prometheus", place), pattern), (root().join("deploy/monitoring/rules"), "*.yaml"));
    assert!(!files("deploy/monitoring/rules", "yaml").is_empty());
    let config = texts(service("prometheus"), "command")[0].strip_prefix("--config.file=").unwrap();
    assert_eq!(at("prometheus", config), folder().join("prometheus.yml"));

    let provisioned = document("grafana/dashboards.yaml");
    let place = provisioned["providers"][0]["options"]["path"].as_str().unwrap();
    assert_eq!(at("grafana", place), root().join("deploy/monitoring/dashboards"));
    let home = service("grafana")["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str().unwrap();
    let home = home.strip_prefix(place).unwrap().trim_start_matches('/');
    assert!(root().join("deploy/monitoring/dashboards").join(home).exists(), "{home}");
    for (file, folder_of) in [("datasources", "datasources"), ("dashboards", "dashboards")] {
        let place = format!("/etc/grafana/provisioning/{folder_of}/faregate.yaml");
        assert_eq!(at("grafana", &place), folder().join(format!("grafana/{file}.yaml")));
    }
    let source = &document("grafana/datasources.yaml")["datasources"][0];
    assert_eq!(source["url"], "http://prometheus:9090", "the service's name and Prometheus's own port");
    let interval = document("prometheus.yml")["global"]["scrape_interval"].clone();
    assert_eq!(source["jsonData"]["timeInterval"], interval, "$__rate_interval follows from it");
    let scraped = &document("prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"][0];
    assert_eq!(scraped, "faregate:4001");
    assert!(texts(service("faregate"), "ports").contains(&"127.0.0.1:4001:4001"));
}

#[test]
fn its_configuration_is_sound_and_knows_every_model_that_is_called() {
    let place = folder().join("faregate");
    let checked =
        Command::new(env!("CARGO_BIN_EXE_faregate")).args(["check", "faregate.yaml"]).current_dir(&place).output();
    let checked = checked.unwrap();
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(checked.status.success(), "{said}");
    let script = read(folder().join("traffic.sh"));
    let called: Vec<&str> =
        script.lines().filter_map(|line| line.trim().strip_prefix("call ")?.split(' ').next()).collect();
    assert!(called.len() >= 4, "{called:?}");
    for model in called {
        let mut explain = Command::new(env!("CARGO_BIN_EXE_faregate"));
        explain.args(["explain", "--config", "faregate.yaml", "--model", model]).current_dir(&place);
        let said = String::from_utf8(explain.output().unwrap().stdout).unwrap();
        let goes = said.lines().any(|line| line.starts_with("route ") && line.contains(&format!(" {model},")));
        assert!(goes, "{model}:\n{said}");
    }
    let syntax = Command::new("sh").arg("-n").arg(folder().join("traffic.sh")).status().unwrap();
    assert!(syntax.success());
}
