//! The overlap check against a naive one, and on real sets.

use std::collections::BTreeSet;

use infuser_data::{
    Result,
    overlap::{self, MAX_N, Pool, Report, Text},
    question::{Form, Question},
    suite::{self, Item},
};
use proptest::prelude::*;

use crate::shared::shared;

fn items(questions: &[String]) -> Vec<Item> {
    let item = |(i, text): (usize, &String)| Item {
        id: format!("q{i}"),
        set: "s".into(),
        split: "test".into(),
        subject: None,
        question: Question::open(text, "1", Form::Text).unwrap(),
    };
    questions.iter().enumerate().map(item).collect()
}

fn texts(pool: &[String]) -> Vec<Result<Text>> {
    let text = |(i, text): (usize, &String)| Ok(Text { name: i.to_string(), text: text.clone() });
    pool.iter().enumerate().map(text).collect()
}

fn check(pool: &[String], questions: &[String], n: usize) -> Report {
    overlap::check(texts(pool), &items(questions), n).unwrap()
}

/// Runs of words as lists, compared one with another.
fn naive(pool: &[String], question: &str, n: usize) -> (usize, BTreeSet<Vec<String>>) {
    let words = |text: &str| -> Vec<String> {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(String::from).collect()
    };
    let own = words(question);
    let count = n.min(own.len());
    if count == 0 {
        return (0, BTreeSet::new());
    }
    let ngrams: BTreeSet<Vec<String>> = own.windows(count).map(<[String]>::to_vec).collect();
    let pool: Vec<Vec<String>> = pool.iter().map(|text| words(text)).collect();
    let holds = |ngram: &Vec<String>| pool.iter().any(|t| t.windows(count).any(|run| run == ngram));
    let shared = ngrams.iter().filter(|ngram| holds(ngram)).cloned().collect();
    (ngrams.len(), shared)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Few different words, so that much is shared, also by chance and at the edges.
    #[test]
    fn the_same_as_comparing_every_run(
        pool in prop::collection::vec("[a-cA ,.é1]{0,40}", 0..8),
        questions in prop::collection::vec("[a-c][a-cB ,-é1]{0,30}", 0..8),
        n in 1_usize..6,
    ) {
        let report = check(&pool, &questions, n);
        prop_assert_eq!(report.texts, pool.len());
        for (found, question) in report.items.iter().zip(&questions) {
            let (ngrams, shared) = naive(&pool, question, n);
            prop_assert_eq!((found.ngrams, found.shared), (ngrams, shared.len()));
            prop_assert_eq!(found.example.is_some(), !shared.is_empty());
            if let Some(example) = &found.example {
                let words: Vec<String> = example.ngram.split(' ').map(String::from).collect();
                prop_assert!(shared.contains(&words));
                let text: usize = example.text.parse().unwrap();
                let (_, there) = naive(&pool[text..=text], question, n);
                prop_assert!(there.contains(&words), "the example stands in the text it names");
            }
        }
    }
}

#[test]
fn a_planted_question_is_found_and_a_near_one_is_not() {
    let question = "A train leaves Oslo at noon with 3 coaches and arrives in Bergen seven hours \
                    later; how fast was it?";
    let planted = format!("## Notes\n\nSee: “{}” — end.", question.to_uppercase());
    let near = question.replace("coaches", "wagons");
    let questions = [question.to_string(), "Who was Noether?".into(), "√ ∫ ?".into()];
    let report = check(&["nothing".into(), near.clone(), planted], &questions, 13);
    let whole = &report.items[0];
    assert_eq!((whole.words, whole.ngrams, whole.shared), (20, 8, 8));
    assert_eq!(whole.example.as_ref().unwrap().text, "2");
    assert_eq!((report.items[1].words, report.items[1].ngrams, report.items[1].shared), (3, 1, 0));
    assert_eq!((report.items[2].words, report.items[2].fraction()), (0, 0.0));
    assert_eq!(report.affected().len(), 1);

    // The ninth word of 20 differs, and every run of 13 holds it.
    assert_eq!(check(&[near], &questions, 13).items[0].shared, 0);
    // A short question is compared whole, not by its words.
    let pool = ["Emmy Noether was who? I ask: who was... NOETHER".to_string()];
    assert_eq!(check(&pool, &questions, 13).items[1].shared, 1);
    assert_eq!(check(&pool[..1], &["was Noether Emmy".into()], 13).items[0].shared, 0);
}

#[test]
fn threads_do_not_change_the_report() {
    let word = |i: usize| ["red", "green", "blue", "seven", "of"][i * i % 31 % 5];
    let text = |seed: usize, len: usize| -> String {
        (0..len).map(|i| word(seed * 7 + i)).collect::<Vec<_>>().join(" ")
    };
    let pool: Vec<String> = (0..9000).map(|i| text(i, 5 + i % 40)).collect();
    let questions: Vec<String> = (0..200).map(|i| text(i + 3, 3 + i % 25)).collect();
    let with = |threads| {
        let pool_of = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool_of.install(|| check(&pool, &questions, 8))
    };
    let one = with(1);
    assert!(one.affected().len() > 50, "the test has something to compare");
    assert_eq!(one, with(3));
    assert_eq!(one, with(8));
}

#[test]
fn settings_and_records_are_checked() {
    for n in [0, MAX_N + 1] {
        let error = overlap::check(Vec::new(), &[], n).unwrap_err().to_string();
        assert!(error.contains("from 1 to 100"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.json");
    let read = |text: &str| -> Result<Vec<Text>> {
        std::fs::write(&path, text).unwrap();
        Pool::open(&path)?.collect()
    };
    let named = |name: &str, text: &str| Text { name: name.into(), text: text.into() };
    let list = r#"[{"id": "d1", "content": "a", "text": "b"}, {"text": "c"}]"#;
    assert_eq!(read(list).unwrap(), [named("d1", "a"), named("record 2", "c")]);
    let lines = "\u{feff}{\"id\": 7, \"question\": \"q\", \"options\": [\"x\", \"y\"]}\r\n\n{\"text\": \"\"}";
    assert_eq!(read(lines).unwrap(), [named("7", "q\nx\ny"), named("record 3", "")]);
    assert_eq!(read("").unwrap(), []);
    assert_eq!(read("[]").unwrap(), []);
    for (text, problem) in [
        ("[1]", "record 1: 1, expected an object"),
        ("{\"text\": \"\"}\n{\"text\": 5}", "record 2: `text` is 5"),
        ("{\"x\": 1}", "record 1: neither `content`"),
        ("{\"text\": \"\", \"text\": \"\"}", "stands twice"),
        ("[{\"text\": \"\"}", "not JSON"),
        ("nonsense", "record 1: not JSON"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{text}: {error}");
    }
}

/// The numbers are also those of a few lines of Python with sets of word tuples. What is shared are
/// phrases that problems of one kind have in common, not problems.
#[test]
fn real_sets() {
    let file = |name: &str| shared(&format!("data/questions/{name}/{name}.jsonl.gz"));
    let affected = |pool: &str, set: &str| {
        let items = suite::read(&file(set)?).unwrap().items;
        let report = overlap::check(Pool::open(&file(pool)?).unwrap(), &items, 13).unwrap();
        let whole = report.items.iter().filter(|item| item.fraction() == 1.0).count();
        Some((report.items.len(), report.affected().len(), whole))
    };
    let Some(own) = affected("gsm8k_test", "gsm8k_test") else { return };
    assert_eq!(own, (1319, 1319, 1319));
    assert_eq!(affected("gsm8k_train", "gsm8k_test"), Some((1319, 3, 0)));
    assert_eq!(affected("math_train_rllm", "math500"), Some((500, 49, 0)));
    // One item of the 285 has the same choice twice and is not read.
    assert_eq!(affected("mmlu_pro_test", "mmlu_dev"), Some((284, 18, 2)));
}
