//! What a pod, or its namespace for all of its pods, may say about its injection. One table, [`ANNOTATIONS`], which
//! validation and documentation share.

use std::collections::BTreeMap;

use super::settings::Settings;
use super::{INJECT, STATUS, check};

/// What all names of ours begin with.
const PREFIX: &str = "faregate.dev/";

/// An annotation.
#[derive(Debug)]
pub struct Annotation {
    /// Its name, with the prefix.
    pub name: &'static str,
    /// What its value is, as documentation says it.
    pub value: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Whether a namespace may have it for all of its pods.
    pub on_namespaces: bool,
    apply: fn(&mut Plan, &str) -> Result<(), String>,
}

/// What holds for one pod: the settings, with what its namespace and then the pod itself say over them.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    /// The app's name, where an annotation gives it.
    pub(super) app: Option<String>,
    /// The containers that call Faregate, where an annotation names them.
    pub(super) containers: Option<Vec<String>>,
}

/// Every annotation.
pub const ANNOTATIONS: &[Annotation] = &[
    Annotation {
        name: "faregate.dev/mode",
        value: "`env`",
        meaning: "How calls reach the sidecar. `env`: by the variables that SDKs read. `proxy` and `transparent` are not there yet, and are refused.",
        on_namespaces: true,
        apply: |plan, text| set(&mut plan.settings.mode, text, check::mode),
    },
    Annotation {
        name: "faregate.dev/excluded-hosts",
        value: "none yet",
        meaning: "Hosts whose calls go past the sidecar, in the modes `proxy` and `transparent`. Refused until those are there.",
        on_namespaces: true,
        apply: |_, _| {
            Err("is for the modes `proxy` and `transparent`, which are not there yet; in the mode `env`, calls go past the \
                 sidecar wherever no variable leads to it (faregate.dev/sdks, faregate.dev/containers)"
                .into())
        },
    },
    Annotation {
        name: "faregate.dev/app",
        value: "a name",
        meaning: "The `app` in metrics and usage records, on which routes can match. Default: `NAMESPACE/WORKLOAD`.",
        on_namespaces: true,
        apply: |plan, text| set(plan.app.get_or_insert_default(), text, check::app),
    },
    Annotation {
        name: "faregate.dev/credentials-secret",
        value: "a Secret",
        meaning: "Providers' keys, mounted into the sidecar alone: its keys are named as the variables of `faregate presets` are. Empty: none.",
        on_namespaces: true,
        apply: |plan, text| name(&mut plan.settings.credentials_secret, text),
    },
    Annotation {
        name: "faregate.dev/config-map",
        value: "a ConfigMap",
        meaning: "The sidecar's configuration, under the key `faregate.yaml`. Empty: none; then every provider whose key is there is on.",
        on_namespaces: true,
        apply: |plan, text| name(&mut plan.settings.config_map, text),
    },
    Annotation {
        name: "faregate.dev/sdks",
        value: "names with commas, or `all`",
        meaning: "Whose variables are set, by the names of `faregate presets`.",
        on_namespaces: true,
        apply: |plan, text| {
            let names = if text.trim() == "all" { Vec::new() } else { list(text) };
            check::sdks(&names)?;
            plan.settings.sdks = names;
            Ok(())
        },
    },
    Annotation {
        name: "faregate.dev/placeholder-keys",
        value: "`true` or `false`",
        meaning: "Whether containers without a key get a placeholder, without which SDKs do not start.",
        on_namespaces: true,
        apply: |plan, text| {
            check::one_of(text, &["true", "false"])?;
            plan.settings.placeholder_keys = text == "true";
            Ok(())
        },
    },
    Annotation {
        name: "faregate.dev/containers",
        value: "names with commas",
        meaning: "The containers whose variables are set, init containers included. Default: all but those of service meshes.",
        on_namespaces: false,
        apply: |plan, text| {
            let names = list(text);
            if names.is_empty() {
                return Err("no container is named".into());
            }
            plan.containers = Some(names);
            Ok(())
        },
    },
    Annotation {
        name: "faregate.dev/image",
        value: "an image",
        meaning: "The sidecar's image.",
        on_namespaces: true,
        apply: |plan, text| set(&mut plan.settings.image, text, check::image),
    },
    Annotation {
        name: "faregate.dev/port",
        value: "a port from 1024",
        meaning: "Where the sidecar listens for calls, on the pod's loopback.",
        on_namespaces: true,
        apply: |plan, text| port(&mut plan.settings.port, text),
    },
    Annotation {
        name: "faregate.dev/admin-port",
        value: "a port from 1024",
        meaning: "Where the sidecar serves metrics and health.",
        on_namespaces: true,
        apply: |plan, text| port(&mut plan.settings.admin_port, text),
    },
    Annotation {
        name: "faregate.dev/cpu-request",
        value: "a quantity",
        meaning: "CPU that is set aside for the sidecar. Empty: none.",
        on_namespaces: true,
        apply: |plan, text| quantity(&mut plan.settings.resources.cpu_request, text),
    },
    Annotation {
        name: "faregate.dev/cpu-limit",
        value: "a quantity",
        meaning: "CPU that the sidecar may take. Empty: no limit.",
        on_namespaces: true,
        apply: |plan, text| quantity(&mut plan.settings.resources.cpu_limit, text),
    },
    Annotation {
        name: "faregate.dev/memory-request",
        value: "a quantity",
        meaning: "Memory that is set aside for the sidecar. Empty: none.",
        on_namespaces: true,
        apply: |plan, text| quantity(&mut plan.settings.resources.memory_request, text),
    },
    Annotation {
        name: "faregate.dev/memory-limit",
        value: "a quantity",
        meaning: "Memory that the sidecar may take. Empty: no limit.",
        on_namespaces: true,
        apply: |plan, text| quantity(&mut plan.settings.resources.memory_limit, text),
    },
    Annotation {
        name: "faregate.dev/log-level",
        value: "`error`, `warn`, `info`, `debug`, or a filter",
        meaning: "What the sidecar logs.",
        on_namespaces: true,
        apply: |plan, text| set(plan.settings.log_level.get_or_insert_default(), text, check::log_level),
    },
    Annotation {
        name: "faregate.dev/env",
        value: "lines of `NAME=value`",
        meaning: "Further variables of the sidecar, such as `HTTPS_PROXY`. No place for secrets.",
        on_namespaces: true,
        apply: |plan, text| {
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                let (name, value) = line.split_once('=').ok_or_else(|| format!("`{line}` is no NAME=value"))?;
                check::variable(name, value)?;
                plan.settings.env.insert(name.into(), value.into());
            }
            Ok(())
        },
    },
];

impl Plan {
    /// What holds for a pod, as far as it makes sense, and all that does not, with what to change.
    pub(super) fn new(
        settings: &Settings,
        namespace: &BTreeMap<String, String>,
        pod: &BTreeMap<String, String>,
    ) -> (Self, Vec<String>) {
        let mut plan = Self { settings: settings.clone(), app: None, containers: None };
        let mut problems = Vec::new();
        plan.take(namespace, true, &mut problems);
        plan.take(pod, false, &mut problems);
        plan.together(&mut problems);
        (plan, problems)
    }

    fn take(&mut self, annotations: &BTreeMap<String, String>, on_namespace: bool, problems: &mut Vec<String>) {
        let whose = if on_namespace { "the namespace's annotation" } else { "annotation" };
        for (name, text) in annotations.iter().filter(|(name, _)| name.starts_with(PREFIX) && *name != STATUS) {
            let done = match ANNOTATIONS.iter().find(|annotation| annotation.name == name) {
                Some(annotation) if on_namespace && !annotation.on_namespaces => {
                    Err("is for pods only; take it off the namespace".to_owned())
                }
                Some(annotation) => (annotation.apply)(self, text),
                None if name == INJECT => Err("is a label; write it to `labels`".to_owned()),
                None => Err(unknown(name)),
            };
            if let Err(what) = done {
                problems.push(format!("{whose} {name}: {what}"));
            }
        }
    }

    /// What no value shows by itself.
    fn together(&self, problems: &mut Vec<String>) {
        let Settings { port, admin_port, resources, .. } = &self.settings;
        if port == admin_port {
            let message = format!("{PREFIX}port and {PREFIX}admin-port: both are {port}; give them different ports");
            problems.push(message);
        }
        for (what, request, limit) in [
            ("cpu", &resources.cpu_request, &resources.cpu_limit),
            ("memory", &resources.memory_request, &resources.memory_limit),
        ] {
            if let (Ok(asked), Ok(most)) = (check::quantity(request), check::quantity(limit))
                && asked > most
            {
                let limit_name = format!("{PREFIX}{what}-limit");
                problems.push(format!("{PREFIX}{what}-request: {request} is more than {limit_name}, which is {limit}"));
            }
        }
    }
}

fn unknown(name: &str) -> String {
    let nearest = ANNOTATIONS.iter().map(|known| (strsim::damerau_levenshtein(known.name, name), known.name)).min();
    match nearest {
        Some((distance, known)) if distance <= 4 => format!("is unknown; do you mean {known}?"),
        _ => "is unknown; `faregate inject --annotations` lists those there are".into(),
    }
}

fn set(slot: &mut String, text: &str, check: fn(&str) -> Result<(), String>) -> Result<(), String> {
    check(text)?;
    text.clone_into(slot);
    Ok(())
}

/// The name of an object; an empty text takes a default back.
fn name(slot: &mut Option<String>, text: &str) -> Result<(), String> {
    if text.is_empty() {
        *slot = None;
        return Ok(());
    }
    set(slot.get_or_insert_default(), text, check::object_name)
}

fn port(slot: &mut u16, text: &str) -> Result<(), String> {
    let port = text.parse().ok().filter(|port| *port >= 1024);
    *slot = port.ok_or_else(|| format!("`{text}` is no port from 1024 to 65535"))?;
    Ok(())
}

fn quantity(slot: &mut String, text: &str) -> Result<(), String> {
    if !text.is_empty() {
        check::quantity(text)?;
    }
    text.clone_into(slot);
    Ok(())
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The table of annotations as Markdown.
pub fn reference() -> String {
    let mut out = String::from("| annotation | value | |\n|---|---|---|\n");
    for Annotation { name, value, meaning, on_namespaces, .. } in ANNOTATIONS {
        let note = if *on_namespaces { "" } else { " On pods only." };
        out.push_str(&format!("| `{name}` | {value} | {meaning}{note} |\n"));
    }
    out
}
