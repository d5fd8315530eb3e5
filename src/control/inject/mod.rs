//! Injection: a pod, its namespace and the operator's settings -> the pod with Faregate beside its containers.
//!
//! Pure and synchronous: a webhook and `faregate inject` give the same pod. The pod stays JSON, so that no field that is
//! newer than Faregate is lost; what the user wrote is never changed. Injecting an injected pod changes nothing.
//!
//! Must not know where pods come from (`manifest`, a webhook) nor what becomes of them. Start with [`Injector::inject`];
//! the rules are told in docs/kubernetes.md.

mod annotations;
mod attribution;
mod check;
mod decide;
mod environment;
mod pack;
mod pod;
mod settings;
mod sidecar;
mod status;
mod warnings;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

pub use annotations::{ANNOTATIONS, Annotation, reference};
pub use attribution::Owner;
pub use decide::Skip;
pub use settings::{Resources, Settings};
pub use sidecar::{AUDIENCE, SIDECAR};

use annotations::Plan;
use decide::Wish;
use pod::Pod;
use sidecar::Sidecar;
use status::Status;

/// The label that asks for injection: `enabled` on a namespace, `true` or `false` on a pod.
pub const INJECT: &str = "faregate.dev/inject";
/// The annotation that tells what was injected.
pub const STATUS: &str = "faregate.dev/status";
/// What `kubectl logs` and `kubectl exec` take where no container is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Injects pods by the settings of one cluster.
#[derive(Debug, Clone)]
pub struct Injector {
    settings: Settings,
    /// The authorities of a control plane that renews them itself, as PEM.
    trust: Option<Arc<str>>,
}

/// A namespace as far as injection looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name; empty where it is not known.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations: those of [`ANNOTATIONS`] hold for its pods.
    pub annotations: BTreeMap<String, String>,
}

/// What is to become of a pod.
#[derive(Debug)]
pub enum Decision {
    /// Injected.
    Inject(Injection),
    /// Left as it is.
    Skip(Skip),
    /// Injection was asked for in a way that means nothing.
    Refuse(Refusal),
}

/// An injected pod.
#[derive(Debug)]
pub struct Injection {
    /// The pod.
    pub pod: Value,
    /// What its owner should know.
    pub warnings: Vec<String>,
}

/// Why a pod cannot be injected.
#[derive(Debug)]
pub struct Refusal {
    /// All that is wrong, each with what to change.
    pub problems: Vec<String>,
}

impl Injector {
    /// Takes settings.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(settings: Settings) -> Result<Self, Vec<String>> {
        let problems = settings.problems();
        if problems.is_empty() { Ok(Self { settings, trust: None }) } else { Err(problems) }
    }

    /// The same, with the authorities that pods are to trust as the control plane's, as PEM. They come and go, and are no
    /// part of the template: running sidecars hear of new ones. Settings that name their own keep those.
    pub fn with_trust(mut self, trust: Arc<str>) -> Self {
        let wanted = self.settings.control.is_some() && self.settings.control_ca.is_none() && !trust.is_empty();
        self.trust = wanted.then_some(trust);
        self
    }

    /// The namespace in which nothing is injected, being Faregate's own.
    pub fn own_namespace(&self) -> &str {
        &self.settings.namespace
    }

    /// Why a pod, were it made now, would be left as it is; `None` where it would be injected, or refused for what makes no
    /// sense. Of its spec, only `hostNetwork`, `os`, `nodeSelector` and `affinity` need be there.
    pub fn skips(&self, pod: &Value, namespace: &Namespace) -> Option<Skip> {
        match decide::decide(&Pod::new(pod), namespace, &self.settings) {
            Wish::Skip(skip) => Some(skip),
            Wish::Inject | Wish::Unclear(_) => None,
        }
    }

    /// The template that a pod would get now, by its metadata alone; `None` where it would be refused.
    pub fn template(&self, pod: &Value, namespace: &Namespace) -> Option<String> {
        let pod = Pod::new(pod);
        let (plan, problems) = Plan::new(&self.settings, &namespace.annotations, &pod.annotations());
        let sidecar = || sidecar::build(&plan, &attribution::app(&plan, &pod, None));
        problems.is_empty().then(|| template(&plan, &sidecar()))
    }

    /// The template that a pod has, by its metadata; `None` where it has none.
    pub fn template_of(pod: &Value) -> Option<String> {
        let status = Pod::new(pod).annotations().remove(STATUS)?;
        Status::parse(&status).map(|status| status.template)
    }

    /// Decides on a pod, or on a template that `owner` makes pods of.
    pub fn inject(&self, pod: &Value, namespace: &Namespace, owner: Option<&Owner>) -> Decision {
        match self.decide(pod, namespace, owner) {
            Ok(decision) => decision,
            Err(problems) => Decision::Refuse(Refusal { problems }),
        }
    }

    fn decide(&self, pod: &Value, namespace: &Namespace, owner: Option<&Owner>) -> Result<Decision, Vec<String>> {
        let pod = Pod::new(pod);
        match decide::decide(&pod, namespace, &self.settings) {
            Wish::Skip(skip) => return Ok(Decision::Skip(skip)),
            Wish::Unclear(problem) => return Err(vec![problem]),
            Wish::Inject => {}
        }
        let problems = pod.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let before = pod.annotations().get(STATUS).and_then(|text| Status::parse(text));
        let (plan, mut problems) = Plan::new(&self.settings, &namespace.annotations, &pod.annotations());
        problems.extend(clashes(&pod, before.is_some(), &plan));
        if !problems.is_empty() {
            return Err(problems);
        }
        let before = before.unwrap_or_default();
        let warnings = warnings::of(&pod, &plan, &before);
        let sidecar = sidecar::build(&plan, &attribution::app(&plan, &pod, owner));
        let trust = self.trust.as_deref();
        Ok(Decision::Inject(Injection { pod: apply(pod, &plan, sidecar, trust, &before), warnings }))
    }
}

/// What of the user's stands where the sidecar must stand.
fn clashes(pod: &Pod, injected: bool, plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    let names: Vec<&str> = pod.containers().map(pod::container).collect();
    let main = pod.at("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    if main.map(pod::name).any(|name| name == SIDECAR) || (!injected && names.contains(&SIDECAR)) {
        problems.push(format!("a container is named {SIDECAR}, as the sidecar is; give it another name"));
    }
    let volumes = pod.at("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    for volume in volumes.map(pod::name).filter(|name| !injected && sidecar::is_ours(name)) {
        problems.push(format!("a volume is named {volume}, as one of the sidecar's is; give it another name"));
    }
    for chosen in plan.containers.iter().flatten().filter(|chosen| !names.contains(&chosen.as_str())) {
        problems.push(format!("annotation faregate.dev/containers: there is no container `{chosen}`"));
    }
    let Some(user) = plan.settings.run_as_user.map(u64::from) else { return problems };
    let of_pod = pod.at("/spec/securityContext/runAsUser").and_then(Value::as_u64);
    for container in pod.containers() {
        let name = pod::container(container);
        let own = container.get("securityContext").and_then(|context| context.get("runAsUser")?.as_u64());
        if name != SIDECAR && own.or(of_pod) == Some(user) {
            problems.push(format!(
                "container {name} runs as user {user}, as the sidecar does, and could get at its keys; set another runAsUser"
            ));
        }
    }
    problems
}

/// Puts everything into the pod.
fn apply(mut pod: Pod, plan: &Plan, mut sidecar: Sidecar, trust: Option<&str>, before: &Status) -> Value {
    let template = template(plan, &sidecar);
    if let Some(trust) = trust {
        sidecar.trust(trust);
    }
    let is_new = before.template != template;
    let kept = environment::kept(&pod, plan, before);
    environment::set(&mut pod, plan, before);

    let containers = pod.list("initContainers");
    match containers.iter_mut().find(|container| pod::name(container) == SIDECAR) {
        // Others may have added to ours what they add to all: that stays while the template does.
        Some(container) if is_new => *container = sidecar.container,
        Some(_) => {}
        None => containers.insert(0, sidecar.container),
    }

    set_volumes(&mut pod, &sidecar.volumes);
    for secret in &plan.settings.image_pull_secrets {
        let secrets = pod.list("imagePullSecrets");
        if secrets.iter().all(|known| pod::name(known) != secret) {
            secrets.push(json!({ "name": secret }));
        }
    }

    let first = pod.text("/spec/containers/0/name").unwrap_or_default().to_owned();
    let annotations = pod.annotations_mut();
    annotations.entry(DEFAULT_CONTAINER).or_insert_with(|| json!(first));
    let status = Status { version: env!("CARGO_PKG_VERSION").into(), template, port: plan.settings.port, kept };
    annotations.insert(STATUS.into(), json!(status.text()));
    pod.into_value()
}

/// Names what is put into pods: those with another name have what an older version or older settings put there.
fn template(plan: &Plan, sidecar: &Sidecar) -> String {
    let env = environment::pack(plan);
    status::hash(&[&sidecar.container, &json!(sidecar.volumes), &json!(env)])
}

/// Our volumes, those of an earlier injection renewed or taken out.
fn set_volumes(pod: &mut Pod, ours: &[Value]) {
    let known = pod.at("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    let earlier = known.map(pod::name).any(sidecar::is_ours);
    if ours.is_empty() && !earlier {
        return;
    }
    let volumes = pod.list("volumes");
    volumes.retain(|volume| {
        let name = pod::name(volume);
        !sidecar::is_ours(name) || ours.iter().any(|volume| pod::name(volume) == name)
    });
    for volume in ours {
        match volumes.iter_mut().find(|known| pod::name(known) == pod::name(volume)) {
            Some(known) => known.clone_from(volume),
            None => volumes.push(volume.clone()),
        }
    }
    if volumes.is_empty() {
        pod.remove("volumes");
    }
}
