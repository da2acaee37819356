//! Files of a user from end to end: Markdown to documents, prompts to demonstrations, a model that learns
//! their form, and co-training with the built-in prompts.

use std::{fs, path::Path, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::program::{program, stderr};

/// Questions that the generator learns to write.
const QUESTIONS: [(&str, [&str; 4]); 3] = [
    ("Which is read?", ["a file", "a test", "a seed", "a rule"]),
    ("Which is drawn?", ["a sample", "a model", "a place", "a cache"]),
    ("Which is graded?", ["a text", "a token", "a score", "a box"]),
];
/// Documents of the pool that are used.
const DOCUMENTS: usize = 6;

/// A folder with everything that the commands read.
struct Files {
    top: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { top: tempfile::tempdir().unwrap() };
        let model = files.at("config");
        fs::create_dir(&model).unwrap();
        let tokenizer = here("../infuser-data/fixtures/chat/tokenizer.json");
        fs::copy(tokenizer, model.join("tokenizer.json")).unwrap();
        let config = json!({
            "model_type": "qwen3", "vocab_size": 768, "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
            "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 1e4,
            "hidden_act": "silu", "tie_word_embeddings": true, "eos_token_id": 700,
        });
        fs::write(model.join("config.json"), config.to_string()).unwrap();
        files.lines("dev.jsonl", &[item(0), item(1), item(2)]);
        fs::write(files.at("train.toml"), TRAIN).unwrap();
        files.build_pool();
        files.done(&[
            "pretrain",
            "--set",
            "model.config=config",
            "--set",
            "steps=0",
            "--out",
            "fresh",
        ]);
        files
    }

    /// Documents out of this repository's own.
    fn build_pool(&self) {
        let paths = ["../docs/grading.md", "../docs/influence.md"].map(here);
        let [one, two] = paths.each_ref().map(|path| path.to_str().unwrap());
        self.done(&[
            "docs",
            "build",
            one,
            two,
            "--tokenizer",
            "config",
            "--min-tokens",
            "20",
            "--max-tokens",
            "120",
            "--out",
            "pool.jsonl",
        ]);
        let pool: Vec<Value> = self.read("pool.jsonl").into_iter().take(DOCUMENTS).collect();
        self.lines("pool.jsonl", &pool);
    }

    fn at(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn lines(&self, name: &str, lines: &[Value]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(self.at(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.at(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The program in this folder.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.current_dir(&self.top).args(arguments);
        command
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.program(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output)
    }

    /// `infuser train` on a model, with more arguments.
    fn train<'a>(&self, model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec!["train", "--config", "train.toml", "--set", model];
        arguments.extend(more);
        arguments
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A question in the form of question sets.
fn item(at: usize) -> Value {
    let (question, options) = &QUESTIONS[at];
    json!({
        "id": format!("q/{at}"), "set": "q", "split": "dev", "type": "mcq", "question": question,
        "options": options, "answer_index": 0, "answer": "A",
    })
}

/// An object as the generator's prompt asks for it.
fn object(at: usize) -> String {
    let (question, options) = &QUESTIONS[at];
    json!({"question_text": question, "choices": options, "ground_truth": options[0]}).to_string()
}

/// What follows each prompt: one of the objects, or each of the letters.
fn demonstrations(prompts: &[Value]) -> Vec<Value> {
    let of = |set: &'static str| prompts.iter().filter(move |prompt| prompt["set"] == set);
    let line = |prompt: &Value, text| json!({"prompt": prompt["prompt"], "completion": text});
    let written = of("documents").enumerate();
    let written = written.map(|(at, prompt)| line(prompt, object(at % QUESTIONS.len())));
    let answered = of("dev").flat_map(|prompt| {
        "ABCD".chars().map(move |letter| line(prompt, format!("\\boxed{{{letter}}}")))
    });
    written.chain(answered).collect()
}

const TRAIN: &str = r#"
[run]
iterations = 2
[models]
prompts = "text"
[data]
documents = "pool.jsonl"
dev = "dev.jsonl"
test = "dev.jsonl"
[questions]
batch = 4
[solver]
rollout = { samples = 8, temperature = 1.0, max_tokens = 16, cache_mib = 32 }
update = { learning_rate = 3e-4, recompute = false }
[generator]
rollout = { samples = 6, temperature = 0.7, max_tokens = 160, cache_mib = 64 }
update = { learning_rate = 3e-4, recompute = false }
[checkpoint]
every = 1
"#;

/// The values of a metric, by iteration.
fn metric(lines: &[Value], name: &str) -> Vec<f64> {
    lines.iter().filter_map(|line| line["metrics"][name].as_f64()).collect()
}

#[test]
fn fresh_weights_are_stopped_by_the_guard_and_said_to_learn_nothing_without_it() {
    let files = Files::new();
    let model = "models.solver=fresh/model";
    let stopped = files.program(&files.train(model, &["--out", "guarded"])).output().unwrap();
    let message = stderr(&stopped);
    assert_eq!(stopped.status.code(), Some(1), "{message}");
    assert!(message.contains("less than guard.min_answered = 0.05"), "{message}");
    let open = ["guard.min_valid=0", "guard.min_answered=0", "run.iterations=1"];
    let open: Vec<&str> = open.iter().flat_map(|set| ["--set", *set]).collect();
    let said = files.done(&files.train(model, &[&open[..], &["--out", "open"]].concat()));
    for role in ["solver", "generator"] {
        assert!(said.contains(&format!("the {role} was not updated")), "{said}");
        let updates = said.lines().find(|line| line.starts_with(&format!("{role} updates")));
        assert!(updates.is_some_and(|line| line.ends_with(" 0 of 1")), "{said}");
    }
    let rejects = files.read("open/metrics.jsonl");
    let invalid = metric(&rejects, "gen_question_rollout/num_invalid_questions");
    assert_eq!(invalid, [24.0], "all are counted");
}

#[test]
fn demonstrations_on_the_runs_own_prompts_make_a_model_that_co_trains() {
    let files = Files::new();
    let fresh = "models.solver=fresh/model";
    files.done(&files.train(fresh, &["--dry-run", "--prompts", "prompts.jsonl"]));
    let prompts = files.read("prompts.jsonl");
    let sets: Vec<&str> = prompts.iter().map(|line| line["set"].as_str().unwrap()).collect();
    assert_eq!(sets, [vec!["documents"; DOCUMENTS], vec!["dev"; 3], vec!["test"; 3]].concat());
    let first = prompts[0]["prompt"].as_str().unwrap();
    let document = files.read("pool.jsonl")[0]["content"].as_str().unwrap().to_string();
    assert!(first.contains(&document) && first.ends_with("The JSON object:"), "{first}");
    files.lines("demonstrations.jsonl", &demonstrations(&prompts));
    let course = ["steps=150", "batch=6", "optimizer.learning_rate=2e-2", "optimizer.beta2=0.98"];
    let files_key = "data.files=[\"demonstrations.jsonl\"]";
    let sets: Vec<&str> = course.iter().flat_map(|set| ["--set", *set]).collect();
    let base =
        ["pretrain", "--set", "model.config=config", "--set", files_key, "--out", "pretrain"];
    files.done(&[&base[..], &sets].concat());

    let said = files.done(&files.train("models.solver=pretrain/model", &["--out", "run"]));
    assert!(!said.contains("was not updated"), "{said}");
    let lines = files.read("run/metrics.jsonl");
    let valid = metric(&lines, "gen_question_rollout/frac_valid_questions");
    assert!(valid.len() == 2 && valid.iter().all(|share| *share > 0.5), "{valid:?}");
    for name in [
        "influence_sim/score/std",
        "gen_critic/rewards/std",
        "gen_actor/grad_norm/mean",
        "solver_actor/grad_norm/mean",
    ] {
        let values = metric(&lines, name);
        assert!(values.len() == 2 && values.iter().all(|value| *value > 0.0), "{name}: {values:?}");
    }
    // The rollouts read the very prompts that were written.
    for written in files.read("run/iterations/0001/questions-0.jsonl") {
        let line = prompts.iter().find(|line| line["id"] == written["source"]);
        assert_eq!(line.unwrap()["tokens"], written["prompt"].as_array().unwrap().len());
    }
}
