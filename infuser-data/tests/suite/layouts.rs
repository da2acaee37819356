//! Fixtures are written for these tests, in the shapes that publishers use.

use std::path::{Path, PathBuf};

use infuser_data::{
    Result,
    question::{Answer, Form},
    suite::{self, Labels, Mapping, Suite},
};
use serde_json::json;

use super::parquet_file::{Column, write};

/// A folder with files in it.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

pub(crate) fn import(layout: &str, paths: &[&Path]) -> Result<Suite> {
    let labels = Labels { set: None, split: Some("test".into()) };
    suite::import(&Mapping::find(layout)?, paths, &labels)
}

/// Question, answer and the rest of each item on a line.
fn listed(suite: &Suite) -> Vec<String> {
    let line = |item: &suite::Item| {
        let answer = match item.question.answer() {
            Answer::Choice { choices, correct } => {
                format!("{} -> {}", choices.join("|"), choices[*correct])
            }
            Answer::Open { reference, form } => format!("{form:?} {reference}"),
            other => format!("{other:?}"),
        };
        let subject = item.subject.as_deref().unwrap_or("-");
        format!("{} [{subject}] {}: {answer}", item.id, item.question.text())
    };
    let skipped = suite.skipped.iter().map(|s| format!("{} skipped: {}", s.id, s.why.name()));
    suite.items.iter().map(line).chain(skipped).collect()
}

#[test]
fn gsm8k() {
    let files = Files::new();
    let lines = [
        json!({"question": "Ten plus ten?", "answer": "10+10=<<10+10=20>>20\n#### 20"}),
        json!({"question": "A thousand?", "answer": "It is\n#### 1,000"}),
        json!({"question": "No mark?", "answer": "20"}),
    ];
    let path = files.file("test.jsonl", lines.map(|line| line.to_string()).join("\n"));
    assert_eq!(
        listed(&import("gsm8k", &[&path]).unwrap()),
        [
            "gsm8k/test/0 [-] Ten plus ten?: Numeric 20",
            "gsm8k/test/1 [-] A thousand?: Numeric 1000",
            "gsm8k/test/2 skipped: answer_not_found",
        ]
    );
}

#[test]
fn math() {
    let files = Files::new();
    let solution = r"So $\boxed{1}$ is wrong, and $x = \boxed{\frac{1}{2}}$.";
    // One object a file, over several lines, as the authors keep it.
    let single =
        json!({"problem": "x?", "level": "Level 5", "type": "Algebra", "solution": solution});
    let single = files.file("1.json", serde_json::to_string_pretty(&single).unwrap());
    let unboxed = json!({"problem": "y?", "level": "Level 1", "type": "Algebra", "solution": "2"});
    let unboxed = files.file("2.json", unboxed.to_string());
    assert_eq!(
        listed(&import("math", &[&single, &unboxed]).unwrap()),
        [r"math/test/0 [Algebra] x?: Math \frac{1}{2}", "math/test/1 skipped: answer_not_found",]
    );
    let list = json!([{"problem": "x?", "solution": solution, "answer": "0.5",
        "subject": "Algebra", "unique_id": "test/algebra/1.json"}]);
    let list = files.file("math500.json", list.to_string());
    assert_eq!(
        listed(&import("math", &[&list]).unwrap()),
        ["math/test/algebra/1.json [Algebra] x?: Math 0.5"]
    );
}

#[test]
fn mmlu() {
    let files = Files::new();
    let csv = "\"Which, of these, is \"\"even\"\"?\",1,2,3,5,B\nTwo lines\nof text,a,b,c,d,D\n";
    // The second record's question is quoted in real files.
    let csv = csv.replace("Two lines\nof text", "\"Two lines\nof text\"");
    let algebra = files.file("abstract_algebra_test.csv", &csv);
    let history = files.file("world_history_test.csv", "When?,now,then,never,now,A\n");
    assert_eq!(
        listed(&import("mmlu-csv", &[&algebra, &history]).unwrap()),
        [
            "mmlu/test/abstract_algebra/0 [abstract_algebra] Which, of these, is \"even\"?: 1|2|3|5 -> 2",
            "mmlu/test/abstract_algebra/1 [abstract_algebra] Two lines\nof text: a|b|c|d -> d",
            "mmlu/test/world_history/0 skipped: duplicate_choices",
        ]
    );
    let rows = [
        Column::texts("question", &["Even?", "Odd?"]),
        Column::texts("subject", &["numbers", "numbers"]),
        Column::lists("choices", &[&["1", "2", "3", "5"], &["2", "4", "5", "6"]]),
        Column::integers("answer", &[1, 2]),
    ];
    let parquet = files.file("test-00000-of-00001.parquet", write(&rows));
    let expected =
        ["mmlu/test/0 [numbers] Even?: 1|2|3|5 -> 2", "mmlu/test/1 [numbers] Odd?: 2|4|5|6 -> 5"];
    assert_eq!(listed(&import("mmlu", &[&parquet]).unwrap()), expected);
    let lines = "{\"question\": \"Even?\", \"choices\": [\"1\", \"2\", \"3\", \"5\"], \
                 \"answer\": 1, \"subject\": \"numbers\"}\n";
    let lines = files.file("test.jsonl", lines);
    assert_eq!(listed(&import("mmlu", &[&lines]).unwrap()), expected[..1]);
}

#[test]
fn mmlu_pro() {
    let files = Files::new();
    let rows = [
        Column::integers("question_id", &[70, 71, 72]),
        Column::texts("question", &["Even?", "Odd?", "Both?"]),
        Column::lists("options", &[&["1", "2"], &["2", "4", "5"], &["one"]]),
        Column::texts("answer", &["B", "A", "A"]),
        Column::integers("answer_index", &[1, 2, 0]),
        Column::texts("category", &["math", "math", "law"]),
    ];
    let path = files.file("test.parquet", write(&rows));
    assert_eq!(
        listed(&import("mmlu-pro", &[&path]).unwrap()),
        [
            "mmlu_pro/70 [math] Even?: 1|2 -> 2",
            "mmlu_pro/71 skipped: answers_differ",
            "mmlu_pro/72 skipped: too_few_choices",
        ]
    );
}

#[test]
fn gpqa() {
    let files = Files::new();
    let mut csv = String::from(
        "Pre-Revision Question,Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,\
         Incorrect Answer 3,Subdomain,Record ID\n",
    );
    for i in 0..400 {
        csv += &format!("old,Question {i}?,right,\"wrong, 1\n\",wrong 2,wrong 3,Optics,rec{i}\n");
    }
    let path = files.file("gpqa_diamond.csv", &csv);
    let suite = import("gpqa", &[&path]).unwrap();
    assert_eq!(suite.items[7].id, "gpqa/rec7");
    assert_eq!(suite.items[7].subject.as_deref(), Some("Optics"));
    let mut places = [0; 4];
    for item in &suite.items {
        let Answer::Choice { choices, correct } = item.question.answer() else { panic!() };
        assert_eq!(choices[*correct], "right");
        assert!(choices.contains(&"wrong, 1".to_string()), "{choices:?}");
        places[*correct] += 1;
    }
    assert!(places.iter().all(|count| (70..130).contains(count)), "{places:?}");
    // The order is that of the question, wherever it stands.
    let (head, rows) = csv.split_once('\n').unwrap();
    let (first, rest) = rows.split_once("rec0\n").unwrap();
    let moved = format!("{head}\n{rest}{first}rec0\n");
    let mut moved = import("gpqa", &[&files.file("moved.csv", moved)]).unwrap();
    moved.items.rotate_right(1);
    assert_eq!(moved, suite);
}

#[test]
fn supergpqa() {
    let files = Files::new();
    let row = |uuid: &str, answer: &str, letter: &str| {
        json!({"uuid": uuid, "question": "Even?", "options": ["1", "2", "3"], "answer": answer,
            "answer_letter": letter, "discipline": "Science", "field": "Numbers"})
    };
    let list = json!([row("u1", "2", "B"), row("u2", "3", "A"), row("u3", "7", "A")]);
    let path = files.file("numbers.json", list.to_string());
    assert_eq!(
        listed(&import("supergpqa", &[&path]).unwrap()),
        [
            "supergpqa/u1 [Numbers] Even?: 1|2|3 -> 2",
            "supergpqa/u2 skipped: answers_differ",
            "supergpqa/u3 skipped: answers_differ",
        ]
    );
}

#[test]
fn bbeh() {
    let files = Files::new();
    let task = json!({"canary": "…", "examples": [
        {"input": "Which pen?", "target": "blue"}, {"input": "True?", "target": "no, yes"}]});
    let path = files.file("bbeh_object_counting/task.json", task.to_string());
    let expected = [
        "bbeh/test/object_counting/0 [object_counting] Which pen?: Text blue",
        "bbeh/test/object_counting/1 [object_counting] True?: Text no, yes",
    ];
    assert_eq!(listed(&import("bbeh", &[&path]).unwrap()), expected);
    let pretty = serde_json::to_string_pretty(&task).unwrap();
    let path = files.file("bbeh_object_counting/pretty.json", pretty);
    assert_eq!(listed(&import("bbeh", &[&path]).unwrap()), expected);
    let line = json!({"input": "Which pen?", "target": "blue", "task": "pens"}).to_string();
    let path = files.file("mini.jsonl", format!("{line}\n{line}\n"));
    assert_eq!(
        listed(&import("bbeh", &[&path]).unwrap()),
        ["bbeh/test/0 [pens] Which pen?: Text blue", "bbeh/test/1 [pens] Which pen?: Text blue",]
    );
}

#[test]
fn medqa() {
    let files = Files::new();
    let row = json!({"question": "Which bone?", "answer": "Femur", "meta_info": "step1",
        "options": {"A": "Rib", "C": "Ulna", "B": "Femur"}, "answer_idx": "B"});
    let lines = files.file("test.jsonl", format!("{row}\n"));
    let expected = ["medqa/test/0 [-] Which bone?: Rib|Femur|Ulna -> Femur"];
    assert_eq!(listed(&import("medqa", &[&lines]).unwrap()), expected);
    let rows = [
        Column::texts("question", &["Which bone?"]),
        Column::object("options", &[("A", "Rib"), ("B", "Femur"), ("C", "Ulna"), ("D", "")]),
        Column::texts("answer", &["Femur"]),
        Column::texts("answer_idx", &["B"]),
    ];
    let parquet = files.file("test.parquet", write(&rows));
    assert_eq!(listed(&import("medqa", &[&parquet]).unwrap()), expected);
}

#[test]
fn aime() {
    let files = Files::new();
    let upper = files.file("a.csv", "ID,Problem,Solution,Answer\n2024-I-1,One?,…,033\n");
    let lower = files.file("b.jsonl", "{\"problem\": \"Two?\", \"answer\": 204, \"id\": 61}");
    let parquet = [Column::texts("question", &["Three?"]), Column::integers("answer", &[7])];
    let parquet = files.file("c.parquet", write(&parquet));
    assert_eq!(
        listed(&import("aime", &[&upper, &lower, &parquet]).unwrap()),
        [
            "aime/2024-I-1 [-] One?: Numeric 033",
            "aime/61 [-] Two?: Numeric 204",
            "aime/test/0 [-] Three?: Numeric 7",
        ]
    );
}

#[test]
fn theoremqa() {
    let files = Files::new();
    let list = json!([
        {"Question": "Is it?", "Answer": true, "Answer_type": "bool", "Picture": null, "id": "a/1"},
        {"Question": "Which?", "Answer": [0.5, 2.0], "Picture": null, "id": "a/2"},
        {"Question": "Seen?", "Answer": 1, "Picture": "images/a.png", "id": "a/3"}]);
    let suite = import("theoremqa", &[&files.file("test.json", list.to_string())]).unwrap();
    assert_eq!(
        listed(&suite),
        [
            "theoremqa/a/1 [-] Is it?: Text True",
            "theoremqa/a/2 [-] Which?: Math 0.5, 2",
            "theoremqa/a/3 skipped: picture",
        ]
    );
    assert!(matches!(suite.items[0].question.answer(), Answer::Open { form: Form::Text, .. }));
}

#[test]
fn a_mapping_of_the_users() {
    let files = Files::new();
    let mapping = files.file(
        "mine.toml",
        "set = 'mine'\ntype = 'mcq'\nquestion = 'stem'\ncontext = 'passage'\nrecords = 'rows'\n\
         [[choices]]\nlist = 'choices.text'\n[[answer]]\nletter = 'key'\n\
         [[subject]]\nconstant = 'reading'\n",
    );
    let rows = json!({"rows": [{"passage": "It rained.", "stem": "Wet?", "key": "(b).",
        "choices": {"text": ["no", "yes"], "label": ["A", "B"]}}]});
    let path = files.file("rows.json", rows.to_string());
    let mapping_name = mapping.to_str().unwrap();
    let error = import(mapping_name, &[&path]).unwrap_err().to_string();
    assert!(error.contains("record 1: `key` is \"(b).\", expected a letter"), "{error}");
    let path = files.file("rows.json", rows.to_string().replace("(b).", "b"));
    assert_eq!(
        listed(&import(mapping_name, &[&path]).unwrap()),
        ["mine/test/0 [reading] It rained.\n\nWet?: no|yes -> yes"]
    );
}
