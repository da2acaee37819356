//! Each prompt against the text it should be, in `snapshots/`. `INFUSER_WRITE_SNAPSHOTS=1` writes the
//! files anew; look at what changed before keeping it.

use std::path::{Path, PathBuf};

use infuser_data::{
    prompt::{Ask, Prompts},
    question::{Form, Question},
};

/// A document that would break a prompt that reads it as a template.
const DOCUMENT: &str = "Heat flows from {{ hot }} to {% cold %} {# never back #}.\n\n\"Entropy\" <grows> & $\\frac{Q}{T}$\n";

fn chat(prompts: &Prompts, ask: &Ask<'_>) -> String {
    let messages = prompts.chat(ask).unwrap();
    let shown = messages.iter().map(|message| {
        format!("=== {}\n{}\n", message.role, message.content.as_deref().unwrap_or("(nothing)"))
    });
    shown.collect()
}

#[track_caller]
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var_os("INFUSER_WRITE_SNAPSHOTS").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, expected, "{}", path.display());
}

fn asks<'a>(
    choice: &'a Question,
    open: &'a Question,
    examples: &'a [Question],
) -> [(&'static str, Ask<'a>); 5] {
    [
        ("choice_generator", Ask::Choice { document: DOCUMENT, choices: 4..=8 }),
        ("open_generator", Ask::Open { document: DOCUMENT }),
        ("seeded_generator", Ask::Seeded { examples, choices: 4..=8 }),
        ("choice_solver", Ask::Answer(choice)),
        ("open_solver", Ask::Answer(open)),
    ]
}

fn questions() -> (Question, Question) {
    let choice =
        Question::choice("What is {{ 1 + 1 }} in $\\mathbb{Z}_2$?", &["0", "1", "<2>", "A & B"], 2);
    (choice.unwrap(), Question::open("Find $\\int_0^1 x\\,dx$.", "1/2", Form::Math).unwrap())
}

#[test]
fn prompts_are_as_they_were() {
    let prompts = Prompts::builtin().unwrap();
    let (choice, open) = questions();
    let examples = [choice.clone(), Question::choice("Second?", &["yes", "no"], 1).unwrap()];
    for (name, ask) in asks(&choice, &open, &examples) {
        check(&format!("{name}.chat.txt"), &chat(&prompts, &ask));
        check(&format!("{name}.base.txt"), &prompts.text(&ask).unwrap());
    }
}

#[test]
fn what_is_put_in_is_data_and_the_answer_is_not_shown() {
    let prompts = Prompts::builtin().unwrap();
    let (choice, open) = questions();
    for (name, ask) in asks(&choice, &open, std::slice::from_ref(&choice)) {
        for text in [chat(&prompts, &ask), prompts.text(&ask).unwrap()] {
            assert!(!text.contains("{{}}") && !text.contains("&lt;"), "{name}: {text}");
            match ask {
                Ask::Choice { .. } | Ask::Open { .. } => {
                    assert!(text.contains(DOCUMENT), "{name}: {text}");
                    assert!(text.contains("question_text") && text.contains("ground_truth"));
                }
                Ask::Answer(_) => {
                    assert!(text.contains(r"\boxed{"), "{name}");
                    assert!(!text.contains("1/2") && !text.contains("Answer:"), "{name}: {text}");
                }
                _ => assert!(text.contains("Answer: <2>\n"), "{name}: {text}"),
            }
        }
        let base = prompts.text(&ask).unwrap();
        assert!(base.ends_with(':'), "{name}: the model goes on here");
    }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn templates_can_be_replaced_one_by_one() {
    let folder = folder(&[
        (
            "choice_solver.user.jinja",
            "{% for c in choices %}\n{{ c.letter }}={{ c.text }}\n{% endfor %}\nQ: {{ question }}\n",
        ),
        ("choice_solver.system.jinja", "\n"),
        ("choice_generator.system.jinja", "Write."),
        ("notes.txt", "{{ not a template"),
    ]);
    let prompts = Prompts::load(folder.path()).unwrap();
    let (choice, open) = questions();
    let messages = prompts.chat(&Ask::Answer(&choice)).unwrap();
    assert_eq!(messages.len(), 1, "a blank system prompt is none");
    let expected = "A=0\nB=1\nC=<2>\nD=A & B\nQ: What is {{ 1 + 1 }} in $\\mathbb{Z}_2$?";
    assert_eq!((&messages[0].role[..], messages[0].content.as_deref()), ("user", Some(expected)));
    let builtin = Prompts::builtin().unwrap();
    let ask = Ask::Answer(&open);
    assert_eq!(prompts.chat(&ask).unwrap(), builtin.chat(&ask).unwrap());
    let ask = Ask::Choice { document: "x", choices: 5..=5 };
    assert!(
        prompts.text(&ask).unwrap().starts_with("Write.\n\nWrite one multiple-choice question")
    );
    assert!(prompts.text(&ask).unwrap().contains("Write 5 to 5 choices"));
}

#[test]
fn bad_templates_are_named_with_their_line() {
    for (name, text, parts) in [
        (
            "open_solver.user.jinja",
            "a\nb {{ qestion }}\n",
            &["open_solver.user.jinja", "line 2", "undefined"][..],
        ),
        (
            "open_solver.user.jinja",
            "a\n{% if %}",
            &["open_solver.user.jinja", "line 2", "syntax error"],
        ),
        (
            "open_solver.user.jinja",
            "{{ question",
            &["open_solver.user.jinja", "line 1", "syntax error"],
        ),
        (
            "open_generator.user.jinja",
            "\n\n{{ x.y }}",
            &["open_generator.user.jinja", "line 3", "undefined"],
        ),
        (
            "open_solver.user.jinja",
            "{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}",
            &["open_solver.user.jinja", "fuel"],
        ),
        (
            "open_solvers.user.jinja",
            "a",
            &["open_solvers.user.jinja", "no prompt has this name", "open_solver.user.jinja"],
        ),
    ] {
        let folder = folder(&[(name, text)]);
        let error = Prompts::load(folder.path()).unwrap_err();
        assert!(error.is_bad_input());
        let error = error.to_string();
        assert!(error.starts_with(&folder.path().display().to_string()), "{error}");
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
    let missing: PathBuf = folder(&[]).path().join("nowhere");
    assert!(Prompts::load(&missing).unwrap_err().to_string().contains("nowhere"));
}
