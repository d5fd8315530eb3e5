//! What the owner of a pod should know: what the injection cannot see or must not change, and what it costs.

use serde_json::{Map, Value};

use super::annotations::Plan;
use super::check;
use super::environment::{base_urls, has_env_from, is_chosen, takes_placeholders};
use super::pod::{self, Pod};
use super::sidecar::SIDECAR;
use super::status::Status;

/// Every warning, in order of the pod.
pub(super) fn of(pod: &Pod, plan: &Plan, before: &Status) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut say = |text: String| warnings.push(text);
    for container in pod.containers() {
        let name = pod::container(container);
        if name == SIDECAR {
            continue;
        }
        ports(container, name, plan, &mut say);
        secret(container, name, pod, plan, &mut say);
        if is_chosen(plan, name) {
            variables(container, name, plan, before, &mut say);
            proxies(container, name, plan, &mut say);
        }
    }
    let settings = &plan.settings;
    if settings.credentials_secret.is_none() && settings.config_map.is_none() && settings.control.is_none() {
        say(
            "neither a credentials Secret nor a ConfigMap is named: without a provider's key the sidecar answers from \
             its built-in simulated provider, with made-up text"
                .into(),
        );
    }
    if plan.settings.credentials_secret.is_some() && pod.at("/spec/shareProcessNamespace").is_some_and(|v| v == true) {
        say("shareProcessNamespace: containers that run as root can read the sidecar's keys".into());
    }
    quality(pod, plan, &mut say);
    mesh(pod, plan, &mut say);
    warnings
}

type Say<'s> = dyn FnMut(String) + 's;

/// Values of the user's that win, and those that cannot be seen.
fn variables(container: &Map<String, Value>, name: &str, plan: &Plan, before: &Status, say: &mut Say<'_>) {
    let own = || pod::variables(container).filter(|variable| !before.set(name, variable));
    let ours = base_urls(plan);
    let address = format!("http://127.0.0.1:{}", plan.settings.port);
    for variable in own() {
        let key = pod::name(variable);
        let first = plan.settings.families().any(|sdk| sdk.before.iter().any(|known| known == key));
        let here = variable.get("value").and_then(Value::as_str).is_some_and(|value| {
            value.strip_prefix(&address).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if (ours.contains_key(key) || first) && !here {
            say(format!("container {name} sets {key} itself: calls that follow it go past Faregate"));
        }
        let is_key = plan.settings.families().any(|sdk| sdk.keys.iter().any(|known| known == key));
        if is_key && plan.settings.credentials_secret.is_some() {
            say(format!("container {name} has {key} itself: it needs none, since the sidecar has the providers' keys"));
        }
    }
    if has_env_from(container) {
        let placeholders = match (plan.settings.placeholder_keys, takes_placeholders(container, plan)) {
            (true, true) => "base URLs and keys",
            _ => "base URLs",
        };
        say(format!(
            "container {name} has envFrom, which cannot be seen here: {placeholders} that come from there are replaced \
             by those of the injection"
        ));
    }
}

/// A proxy would be asked for 127.0.0.1 too. And where the app needs one to get out, the sidecar needs it in its place.
fn proxies(container: &Map<String, Value>, name: &str, plan: &Plan, say: &mut Say<'_>) {
    let is_set = |names: &[&str]| pod::variables(container).any(|variable| names.contains(&pod::name(variable)));
    let exempt = pod::variables(container)
        .filter(|variable| matches!(pod::name(variable), "NO_PROXY" | "no_proxy"))
        .any(|variable| match variable.get("value").and_then(Value::as_str) {
            Some(value) => {
                value.split(',').map(str::trim).any(|entry| matches!(entry, "*" | "127.0.0.1" | "127.0.0.0/8"))
            }
            // From somewhere else: it may.
            None => variable.get("valueFrom").is_some(),
        });
    if is_set(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]) && !exempt {
        say(format!(
            "container {name} sets HTTP_PROXY without 127.0.0.1 in NO_PROXY: its calls to the sidecar go to the proxy"
        ));
    }
    let out = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    if is_set(&out) && !out.iter().any(|known| plan.settings.env.contains_key(*known)) {
        say(format!(
            "container {name} reaches the outside by a proxy (HTTPS_PROXY); if the sidecar must too, say so in the annotation \
             faregate.dev/env"
        ));
    }
}

/// Containers of a pod share its ports.
fn ports(container: &Map<String, Value>, name: &str, plan: &Plan, say: &mut Say<'_>) {
    let declared = container.get("ports").and_then(Value::as_array).into_iter().flatten();
    for port in declared.filter_map(|port| port.get("containerPort")?.as_u64()) {
        for (what, ours) in [("port", plan.settings.port), ("admin-port", plan.settings.admin_port)] {
            if port == u64::from(ours) {
                say(format!(
                    "container {name} declares port {port}, which the sidecar listens on; set the annotation faregate.dev/{what}"
                ));
            }
        }
    }
}

/// Keyless is who cannot reach the keys.
fn secret(container: &Map<String, Value>, name: &str, pod: &Pod, plan: &Plan, say: &mut Say<'_>) {
    let Some(secret) = &plan.settings.credentials_secret else { return };
    let named = |source: Option<&Value>, key: &str| source.and_then(|s| s.get(key)?.as_str()) == Some(secret.as_str());
    let by_env = pod::variables(container).any(|variable| named(variable.pointer("/valueFrom/secretKeyRef"), "name"))
        || container
            .get("envFrom")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .any(|source| named(source.get("secretRef"), "name"));
    let holds = |volume: &Value| {
        named(volume.get("secret"), "secretName")
            || volume
                .pointer("/projected/sources")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .any(|source| named(source.get("secret"), "name"))
    };
    let volumes = || pod.at("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    let mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
    let by_mount =
        mounts.map(pod::name).any(|mount| volumes().any(|volume| pod::name(volume) == mount && holds(volume)));
    if by_env || by_mount {
        say(format!("container {name} gets the Secret {secret} itself: it can call providers past Faregate"));
    }
}

/// A pod whose containers all have limits that equal their requests is evicted last; a sidecar that has not, ends that.
fn quality(pod: &Pod, plan: &Plan, say: &mut Say<'_>) {
    let guaranteed = |container: &Map<String, Value>| {
        let amount = |which: &str, what: &str| {
            let amount = container.get("resources")?.get(which)?.get(what)?;
            Some(amount.as_str().map_or_else(|| amount.to_string(), str::to_owned))
        };
        ["cpu", "memory"].iter().all(|what| {
            let Some(limit) = amount("limits", what) else { return false };
            amount("requests", what).is_none_or(|request| same(&request, &limit))
        })
    };
    let mut others = pod.containers().filter(|container| pod::container(container) != SIDECAR).peekable();
    let resources = &plan.settings.resources;
    let ours = [(&resources.cpu_request, &resources.cpu_limit), (&resources.memory_request, &resources.memory_limit)]
        .into_iter()
        .all(|(request, limit)| !limit.is_empty() && (request.is_empty() || same(request, limit)));
    if others.peek().is_some() && others.all(guaranteed) && !ours {
        say("the pod's quality of service is no longer Guaranteed: give the sidecar requests that equal its limits \
             (faregate.dev/cpu-request, faregate.dev/memory-request)"
            .into());
    }
}

fn same(a: &str, b: &str) -> bool {
    a == b || matches!((check::quantity(a), check::quantity(b)), (Ok(a), Ok(b)) if a == b)
}

/// A mesh that takes in mutual TLS only takes no probes of kubelet, unless it rewrote them or is told to let them by.
fn mesh(pod: &Pod, plan: &Plan, say: &mut Say<'_>) {
    let annotations = pod.annotations();
    let port = plan.settings.admin_port.to_string();
    let exempt = "traffic.sidecar.istio.io/excludeInboundPorts";
    let is_exempt =
        annotations.get(exempt).is_some_and(|ports| ports.split(',').any(|p| p.trim() == port || p.trim() == "*"));
    if annotations.contains_key("sidecar.istio.io/status") && !is_exempt {
        say(format!(
            "the pod is in a mesh: where that demands mutual TLS, kubelet's probes of the sidecar fail; set the annotation \
             {exempt}: \"{port}\""
        ));
    }
}
