//! What the operator of a cluster says about injection, once for all pods.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use serde_json::Value;

use super::{check, pack};
use crate::control::manifest;

/// Settings of injection. Annotations of a namespace and of a pod win over them ([`super::ANNOTATIONS`]).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Image of the sidecar. There is no default.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`; left to Kubernetes where it is not given.
    pub image_pull_policy: Option<String>,
    /// Secrets to pull the image with; they must stand in the pod's namespace.
    pub image_pull_secrets: Vec<String>,
    /// Faregate's own namespace, in which nothing is injected.
    pub namespace: String,
    /// Further namespaces in which nothing is injected; the webhook's configuration should not ask about them either.
    pub excluded_namespaces: Vec<String>,
    /// Port of the API, on the pod's loopback.
    pub port: u16,
    /// Port of health and metrics.
    pub admin_port: u16,
    /// Address of health and metrics: the pod's, so that kubelet and Prometheus reach it. `::` where pods have no IPv4.
    pub admin_address: IpAddr,
    /// User and group of the sidecar; `null` where the platform gives one out itself (OpenShift).
    pub run_as_user: Option<u32>,
    /// ConfigMap of the pod's namespace with a `faregate.yaml`.
    pub config_map: Option<String>,
    /// Secret of the pod's namespace with providers' keys.
    pub credentials_secret: Option<String>,
    /// Address of the control plane, `https://HOST:PORT`, that sidecars get their routing table from. Without it, they
    /// have the ConfigMap's.
    pub control: Option<String>,
    /// The authorities that sidecars trust as the control plane's, as PEM; the system's where it is not given. The
    /// webhook has its own.
    pub control_ca: Option<String>,
    /// How calls reach the sidecar; `env` is all there is so far.
    pub mode: String,
    /// Families of clients whose variables are set; empty for all.
    pub sdks: Vec<String>,
    /// Whether containers without a key get a placeholder.
    pub placeholder_keys: bool,
    /// CPU and memory of the sidecar.
    pub resources: Resources,
    /// What the sidecar logs, as `observe.log.level`.
    pub log_level: Option<String>,
    /// Further variables of the sidecar.
    pub env: BTreeMap<String, String>,
}

/// CPU and memory as Kubernetes writes quantities. An empty text leaves one out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// CPU that is set aside.
    pub cpu_request: String,
    /// CPU at most.
    pub cpu_limit: String,
    /// Memory that is set aside.
    pub memory_request: String,
    /// Memory at most. All request bodies in flight may take 256 MiB of it, unless `server.limits` says less.
    pub memory_limit: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: String::new(),
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            namespace: "faregate-system".into(),
            excluded_namespaces: Vec::new(),
            port: 4000,
            admin_port: 4001,
            admin_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            // A number that no image is likely to have: the sidecar's files in /proc belong to it alone.
            run_as_user: Some(14001),
            config_map: None,
            credentials_secret: None,
            control: None,
            control_ca: None,
            mode: "env".into(),
            sdks: Vec::new(),
            placeholder_keys: true,
            resources: Resources::default(),
            log_level: None,
            env: BTreeMap::new(),
        }
    }
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu_request: "20m".into(),
            cpu_limit: "1".into(),
            memory_request: "32Mi".into(),
            memory_limit: "512Mi".into(),
        }
    }
}

impl Settings {
    /// Reads settings from YAML. [`Settings::problems`] tells whether they make sense.
    ///
    /// # Errors
    /// The first thing that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = match manifest::value(text).map_err(|unreadable| unreadable.to_string())? {
            Value::Null => Value::Object(serde_json::Map::new()),
            value => value,
        };
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// All that is wrong with the settings.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut say = |key: &str, result: Result<(), String>| {
            if let Err(what) = result {
                problems.push(format!("settings: {key}: {what}"));
            }
        };
        say("image", check::image(&self.image));
        if let Some(policy) = &self.image_pull_policy {
            say("image_pull_policy", check::one_of(policy, &["Always", "IfNotPresent", "Never"]));
        }
        for secret in &self.image_pull_secrets {
            say("image_pull_secrets", check::object_name(secret));
        }
        for namespace in &self.excluded_namespaces {
            say("excluded_namespaces", check::object_name(namespace));
        }
        say("mode", check::mode(&self.mode));
        say("sdks", check::sdks(&self.sdks));
        for (key, name) in [("config_map", &self.config_map), ("credentials_secret", &self.credentials_secret)] {
            say(key, name.as_deref().map_or(Ok(()), check::object_name));
        }
        if let Some(address) = &self.control {
            say("control", check::control(address));
        }
        if let Some(pem) = &self.control_ca {
            say("control_ca", check::authorities(pem, self.control.is_some()));
        }
        say("run_as_user", if self.run_as_user == Some(0) { Err("0 is root".into()) } else { Ok(()) });
        if let Some(level) = &self.log_level {
            say("log_level", check::log_level(level));
        }
        for (name, value) in &self.env {
            say("env", check::variable(name, value));
        }
        let Resources { cpu_request, cpu_limit, memory_request, memory_limit } = &self.resources;
        for amount in [cpu_request, cpu_limit, memory_request, memory_limit].into_iter().filter(|a| !a.is_empty()) {
            say("resources", check::quantity(amount).map(drop));
        }
        for (key, port) in [("port", self.port), ("admin_port", self.admin_port)] {
            say(key, if port < 1024 { Err(format!("{port} is no port from 1024 to 65535")) } else { Ok(()) });
        }
        problems
    }

    /// The families of clients whose variables are set.
    pub(super) fn families(&self) -> impl Iterator<Item = &'static pack::Sdk> {
        let chosen = self.sdks.clone();
        pack::all().iter().filter(move |(name, _)| chosen.is_empty() || chosen.contains(*name)).map(|(_, sdk)| sdk)
    }
}
