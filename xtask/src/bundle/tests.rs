//! What is packed, and the script on stand-ins for the programs.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn an_executable_is_that_of_its_package_and_target() {
    let message = |folder: &str, executable: Value| {
        json!({
            "manifest_path": format!("/p/{folder}/Cargo.toml"), "executable": executable,
            "target": {"name": "main"},
        })
    };
    let model = message("infuser-model", json!("/t/main-1"));
    assert_eq!(executable(&model, "infuser-model", "main"), Some("/t/main-1".into()));
    assert_eq!(executable(&model, "infuser-influence", "main"), None);
    assert_eq!(executable(&model, "infuser-model", "other"), None);
    let benches = message("benches", json!("/t/b"));
    assert_eq!(executable(&benches, "infuser-benches", "main"), Some("/t/b".into()));
    let library = message("infuser-model", Value::Null);
    assert_eq!(executable(&library, "infuser-model", "main"), None);
}

#[test]
fn what_is_packed_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for path in READ.into_iter().chain(SCRIPTS.map(|[from, _]| from)) {
        assert!(root.join(path).exists(), "{path}");
    }
}

/// Runs the script in a bundle of stand-ins: exit code, standard output, standard error, results.
fn script(devices: &str, arguments: &[&str]) -> (i32, String, String, Option<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    // Written by another process: a file that a test still has open when the next one starts a program is
    // open in that program for a moment too, and the system runs no file that is open for writing.
    let copy = |from: &Path, name: &str| {
        assert!(Command::new("cp").arg(from).arg(place(name)).status().unwrap().success());
    };
    let program = |name: &str, text: &str| {
        fs::write(place("text"), format!("#!/usr/bin/env bash\n{text}\n")).unwrap();
        fs::set_permissions(place("text"), fs::Permissions::from_mode(0o755)).unwrap();
        copy(&place("text"), name);
    };
    fs::create_dir(place("bin")).unwrap();
    fs::write(place("bundle.json"), "{}").unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/gpu/run.sh"), "run.sh");
    program("bin/infuser", &format!("echo '{{\"devices\": [{devices}]}}'"));
    program("bin/kernels_tests", "echo 'test result: ok. 1 passed; 0 failed'");
    program("bin/model_tests", "echo 'test result: ok. 0 passed; 0 failed'");
    program("bin/influence_tests", "echo 'panicked at \"a\\b\"'; exit 101");
    program("bin/cuda_ops", "echo '{\"bench\":\"cuda_op\",\"op\":\"rope\",\"gbytes_per_s\":7}'");
    program("bin/gpu_step", "sleep 60");
    let output = Command::new(place("run.sh"))
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("OUT")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let results = fs::read(place("gpu-results/results.json")).ok();
    let results = results.map(|bytes| serde_json::from_slice(&bytes).unwrap());
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr), results)
}

#[test]
fn without_a_gpu_the_script_says_so_in_one_line() {
    let (code, out, said, results) = script("\"cpu\"", &[]);
    assert_eq!((code, out.as_str(), results), (2, "", None));
    assert!(said.contains("no GPU here") && said.lines().count() == 1, "{said}");
}

#[test]
fn arguments_that_make_no_sense_are_refused_in_one_line() {
    for bad in [["--only", "speed"], ["--limit", "soon"], ["--what", "x"]] {
        let (code, _, said, _) = script("\"cuda\"", &bad);
        assert!(code == 2 && said.lines().count() == 1, "{bad:?}: {code}, {said}");
    }
}

#[test]
fn a_part_that_fails_or_hangs_does_not_stop_the_others() {
    let arguments = ["--only", "parity,golden,influence,models,ops", "--limit", "2"];
    let (code, out, _, results) = script("\"cpu\", \"cuda\"", &arguments);
    assert_eq!(code, 1, "{out}");
    let results = results.unwrap();
    let states = results["parts"].as_array().unwrap().iter();
    let states: Vec<&str> = states.map(|part| part["state"].as_str().unwrap()).collect();
    // Tests that a filter leaves none of have not passed.
    assert_eq!(states, ["passed", "failed", "failed", "timed out", "passed"]);
    assert_eq!(results["parts"][2]["note"], "panicked at ab");
    assert_eq!(results["measured"][0]["gbytes_per_s"], 7);
    assert!(out.contains("cuda_op rope"), "{out}");
}
