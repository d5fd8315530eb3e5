//! The sidecar's container and its volumes.
//!
//! It is a native sidecar (an init container that restarts always): ready before the pod's other containers start,
//! stopped after the last of them, no hindrance to jobs. No preStop hook, since nobody calls any more when its turn to
//! stop comes; no readiness probe, since a gateway that fails must not take the app out of service too.

use serde_json::{Map, Value, json};

use super::annotations::Plan;
use super::settings::{Resources, Settings};

/// The container's name.
pub const SIDECAR: &str = "faregate";
/// What the names of our volumes begin with.
const VOLUMES: &str = "faregate-";
/// The port of metrics and health, as scrapers name it.
pub(super) const ADMIN_PORT: &str = "faregate-admin";
/// Where the sidecar finds providers' keys.
pub(super) const CREDENTIALS: &str = "/var/run/secrets/faregate.dev/credentials";
const CONFIGURATION: &str = "/etc/faregate";
/// Where the sidecar finds what it shows itself to the control plane by: a directory of its own, since the token is renewed
/// and a single file that is mounted never is.
const TOKEN: &str = "/var/run/secrets/faregate.dev/control";
/// For whom the token is: one that is for the API server, or for anybody else, opens nothing at the control plane.
pub const AUDIENCE: &str = "faregate.dev/control";
/// Where the sidecar keeps the last good table.
const STATE: &str = "/var/lib/faregate";
/// The variable with the authorities that the sidecar trusts as the control plane's.
const TRUST: &str = "FAREGATE_CONTROL_CA";

/// What goes into the pod besides variables of its containers.
pub(super) struct Sidecar {
    pub(super) container: Value,
    pub(super) volumes: Vec<Value>,
}

/// Whether a volume's name is one of ours.
pub(super) fn is_ours(volume: &str) -> bool {
    let ours = ["credentials", "config", "token", "state"];
    volume.strip_prefix(VOLUMES).is_some_and(|name| ours.contains(&name))
}

/// The sidecar of a pod whose calls count as those of `app`.
pub(super) fn build(plan: &Plan, app: &str) -> Sidecar {
    let settings = &plan.settings;
    let mut arguments = vec![
        "run".to_owned(),
        format!("--listen=127.0.0.1:{}", settings.port),
        format!("--admin={}", std::net::SocketAddr::new(settings.admin_address, settings.admin_port)),
    ];
    let mut mounts = Vec::new();
    let mut volumes = Vec::new();
    if let Some(config_map) = &settings.config_map {
        arguments.push(format!("--config={CONFIGURATION}"));
        let name = format!("{VOLUMES}config");
        mounts.push(json!({ "name": name, "mountPath": CONFIGURATION, "readOnly": true }));
        volumes.push(json!({ "name": name, "configMap": { "name": config_map } }));
    }
    if let Some(secret) = &settings.credentials_secret {
        let name = format!("{VOLUMES}credentials");
        mounts.push(json!({ "name": name, "mountPath": CREDENTIALS, "readOnly": true }));
        // Read by all, since the sidecar is not root; but mounted into the sidecar only.
        volumes.push(json!({ "name": name, "secret": { "secretName": secret, "defaultMode": 0o444 } }));
    }
    if settings.control.is_some() {
        let (token, state) = (format!("{VOLUMES}token"), format!("{VOLUMES}state"));
        mounts.push(json!({ "name": token, "mountPath": TOKEN, "readOnly": true }));
        mounts.push(json!({ "name": state, "mountPath": STATE }));
        let source = json!({ "audience": AUDIENCE, "expirationSeconds": 3600, "path": "token" });
        let sources = json!([{ "serviceAccountToken": source }]);
        // Its owner is who reads it, where one is set; else kubelet makes it readable to all.
        volumes.push(json!({ "name": token, "projected": { "sources": sources, "defaultMode": 0o444 } }));
        volumes.push(json!({ "name": state, "emptyDir": { "medium": "Memory", "sizeLimit": "64Mi" } }));
    }
    let mut container = json!({
        "name": SIDECAR,
        "image": settings.image,
        "args": arguments,
        "env": environment(plan, app),
        "ports": [{ "name": ADMIN_PORT, "containerPort": settings.admin_port, "protocol": "TCP" }],
        "restartPolicy": "Always",
        "startupProbe": probe("/readyz", 1, 120),
        "livenessProbe": probe("/healthz", 10, 3),
        "resources": resources(&settings.resources),
        "securityContext": security(settings),
        // What is wrong with a configuration stands in the last lines of the log: let `kubectl describe` show it.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if let Some(policy) = &settings.image_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    if !mounts.is_empty() {
        container["volumeMounts"] = json!(mounts);
    }
    Sidecar { container, volumes }
}

impl Sidecar {
    /// Adds authorities that change while a template stays what it is.
    pub(super) fn trust(&mut self, authorities: &str) {
        if let Some(variables) = self.container.get_mut("env").and_then(Value::as_array_mut) {
            variables.push(json!({ "name": TRUST, "value": authorities }));
        }
    }
}

/// Our own variables first, in an order that lets later ones name earlier ones.
fn environment(plan: &Plan, app: &str) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let mut variables = Vec::new();
    for (name, path) in [("FAREGATE_NAMESPACE", "metadata.namespace"), ("FAREGATE_POD", "metadata.name")] {
        if app.contains(&format!("$({name})")) {
            variables.push(field(name, path));
        }
    }
    variables.push(json!({ "name": "FAREGATE_APP", "value": app }));
    if plan.settings.credentials_secret.is_some() {
        variables.push(json!({ "name": "FAREGATE_CREDENTIALS", "value": CREDENTIALS }));
    }
    if let Some(control) = &plan.settings.control {
        variables.push(json!({ "name": "FAREGATE_CONTROL", "value": control }));
        variables.push(json!({ "name": "FAREGATE_CONTROL_TOKEN", "value": format!("{TOKEN}/token") }));
        variables.push(json!({ "name": "FAREGATE_STATE", "value": STATE }));
        variables.extend(plan.settings.control_ca.as_ref().map(|ca| json!({ "name": TRUST, "value": ca })));
    }
    if let Some(level) = &plan.settings.log_level {
        variables.push(json!({ "name": "RUST_LOG", "value": level }));
    }
    variables.extend(plan.settings.env.iter().map(|(name, value)| json!({ "name": name, "value": value })));
    variables
}

fn probe(path: &str, period: u32, failures: u32) -> Value {
    json!({
        "httpGet": { "path": path, "port": ADMIN_PORT },
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    })
}

fn resources(resources: &Resources) -> Value {
    let of = |cpu: &str, memory: &str| -> Map<String, Value> {
        [("cpu", cpu), ("memory", memory)]
            .into_iter()
            .filter(|(_, amount)| !amount.is_empty())
            .map(|(what, amount)| (what.to_owned(), json!(amount)))
            .collect()
    };
    let all = [
        ("requests", of(&resources.cpu_request, &resources.memory_request)),
        ("limits", of(&resources.cpu_limit, &resources.memory_limit)),
    ];
    Value::Object(
        all.into_iter().filter(|(_, some)| !some.is_empty()).map(|(key, some)| (key.to_owned(), json!(some))).collect(),
    )
}

/// What the Pod Security Standard `restricted` asks for, and a file system that cannot be written.
fn security(settings: &Settings) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "privileged": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    if let Some(user) = settings.run_as_user {
        context["runAsUser"] = json!(user);
        context["runAsGroup"] = json!(user);
    }
    context
}
