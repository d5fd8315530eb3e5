//! The container image: the same bytes from the same program, no root, no shell, and it runs with nothing to write to.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
const PROGRAM: &str = env!("CARGO_BIN_EXE_faregate");
const PATIENCE: Duration = Duration::from_secs(60);

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Everything that a layer is made of: names, kinds, modes, owners, times, contents.
fn archive(root: &Path) -> Vec<u8> {
    let tar = run(Command::new("tar").args(["--sort=name", "--format=posix", "-c", "-C"]).arg(root).arg("."));
    assert!(tar.status.success());
    tar.stdout
}

fn assemble(root: &Path) {
    text(&run(Command::new(format!("{DEPLOY}/image/assemble")).arg(PROGRAM).arg(root)));
}

#[test]
fn the_same_program_gives_the_same_image_and_nothing_else_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    assemble(&one);
    assemble(&two);
    // `posix` headers hold the times of access too, which reading changes: contents and names are compared by `diff`.
    let same = run(Command::new("diff").args(["-r", "--no-dereference"]).arg(&one).arg(&two));
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    assert_eq!(archive(&one).len(), archive(&two).len());
    let listed = text(&run(Command::new("find").arg(&one).args(["-mindepth", "1", "-printf", "%P %m %T@\n"])));
    for line in listed.lines() {
        assert!(line.ends_with(" 0.0000000000"), "a time of its own: {line}");
        let name = line.split(' ').next().unwrap();
        let known = ["faregate", "etc", "tmp", "lib", "lib64", "usr"].contains(&name.split('/').next().unwrap());
        assert!(known, "who put that here: {line}");
        for shell in ["bin/sh", "bin/bash", "busybox"] {
            assert!(!name.ends_with(shell), "{line}");
        }
    }
}

/// The last value of an instruction of the Dockerfile's last stage.
fn instruction(dockerfile: &str, name: &str) -> String {
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    let line = last.lines().rfind(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
    line[name.len()..].trim().to_owned()
}

#[test]
fn both_ways_to_build_it_agree() {
    let dockerfile = std::fs::read_to_string(format!("{DEPLOY}/Dockerfile")).unwrap();
    let script = std::fs::read_to_string(format!("{DEPLOY}/image/build")).unwrap();
    assert!(dockerfile.contains("\nFROM scratch\n") && script.contains("buildah from scratch"));
    for (name, option) in [("USER", "--user "), ("WORKDIR", "--workingdir ")] {
        assert!(script.contains(&format!("{option}{}", instruction(&dockerfile, name))), "{name}");
    }
    assert!(script.contains(&format!("--entrypoint '{}'", instruction(&dockerfile, "ENTRYPOINT"))));
    assert_eq!(instruction(&dockerfile, "CMD"), "[\"run\"]");
    assert!(script.contains("--cmd run"));
    for port in instruction(&dockerfile, "EXPOSE").split(' ') {
        assert!(script.contains(&format!("--port {port}")), "{port}");
    }
    // The compiler that the project names.
    let rust = dockerfile.lines().find_map(|line| line.strip_prefix("ARG RUST=")).unwrap();
    assert!(rust.starts_with(concat!(env!("CARGO_PKG_RUST_VERSION"), ".")), "{rust}");
}

/// Podman as it runs where there is no service manager.
fn podman(settings: &Path) -> Command {
    let mut podman = Command::new("podman");
    podman.env("CONTAINERS_CONF", settings);
    podman
}

#[test]
fn it_runs_without_root_without_rights_and_with_nothing_to_write_to() {
    let have = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !have("buildah") || !have("podman") || !have("runc") {
        eprintln!("NOT TESTED: the image was not built and run; buildah, podman or runc is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("containers.conf");
    let limits = "default_ulimits = [\"nofile=20000:20000\", \"nproc=8192:8192\"]";
    let engine = "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
    std::fs::write(&settings, format!("{engine}[containers]\n{limits}\n")).unwrap();
    // Symbols are most of a test build.
    let program = dir.path().join("faregate");
    text(&run(Command::new("strip").arg("-o").arg(&program).arg(PROGRAM)));
    let name = format!("localhost/faregate-test:{}", std::process::id());
    let built = text(&run(Command::new(format!("{DEPLOY}/image/build")).arg(&program).arg(&name)));
    assert!(built.contains("MB compressed"), "{built}");

    let began = Instant::now();
    let arguments = ["run", "--detach", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"];
    let started = run(podman(&settings).args(arguments).args(["--network=none", &name]));
    if !started.status.success() {
        // A sandbox inside a sandbox is not to be had everywhere.
        eprintln!("NOT TESTED: podman runs nothing here: {}", String::from_utf8_lossy(&started.stderr).trim());
        text(&run(podman(&settings).args(["rmi", "--force", &name])));
        return;
    }
    let id = text(&started);
    let logs = || {
        let said = run(podman(&settings).args(["logs", &id]));
        String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
    };
    while !logs().contains("listening") {
        assert!(began.elapsed() < PATIENCE, "it does not start: {}", logs());
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("image: {}; podman run to listening in {:?}", built.replace('\n', ", "), began.elapsed());
    let state = text(&run(podman(&settings).args(["inspect", "--format", "{{.State.Pid}} {{.Config.User}}", &id])));
    let (pid, user) = state.split_once(' ').unwrap();
    assert_eq!(user, "65532:65532");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    assert_eq!(capabilities.trim().trim_matches('0'), "", "it has rights: {capabilities}");
    // It ends well when it is told to.
    text(&run(podman(&settings).args(["stop", "--time", "20", &id])));
    let exit = text(&run(podman(&settings).args(["inspect", "--format", "{{.State.ExitCode}}", &id])));
    assert_eq!(exit, "0", "{}", logs());
    text(&run(podman(&settings).args(["rm", "--force", &id])));
    text(&run(podman(&settings).args(["rmi", "--force", &name])));
}
