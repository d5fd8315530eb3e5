//! The tests' API server as a program, for tests in Python: `api_server DIRECTORY` writes a kubeconfig for the control plane
//! into the directory, prints its own URL, and serves until its standard input ends.
//!
//! Whoever shows the token `operator` may do everything by the REST API, and webhooks are asked about what they create, at
//! the address that the Endpoints of the webhook's Service hold. Whoever comes by the kubeconfig may do what
//! `deploy/kubernetes/control-rbac.yaml` grants.

#[expect(dead_code, reason = "tests reach past HTTP, this program does not")]
mod api;
#[expect(dead_code, reason = "the webhook's own tests use all of it")]
mod caller;

fn main() {
    let directory = std::env::args_os().nth(1).expect("usage: api_server DIRECTORY");
    let api = api::Api::start();
    api.kubeconfig(directory.as_ref());
    println!("http://{}", api.address);
    // Its end is that of whoever has started this.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}
