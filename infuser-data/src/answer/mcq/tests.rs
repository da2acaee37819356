//! What outputs decide for: one row a rule, with why.

use proptest::prelude::*;

use super::*;

const COLOURS: [&str; 4] = ["red", "green", "blue", "yellow"];
const LETTERS: [&str; 4] = ["A", "B", "C", "D"];
const TITLES: [&str; 4] = ["Emma", "A Tale of Two Cities", "Dracula", "I, Robot"];
const ATOMS: [&str; 4] = ["C", "H", "O", "N"];
const TEN: [&str; 10] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];

fn decided(output: &str, choices: &[&str]) -> String {
    let text = |i: usize| choices[i];
    match decide(Submission::Response(output), &Choices::new(choices.len(), &text)) {
        Ok(index) => letter(index).to_string(),
        Err(Reason::NoAnswer) => "-".to_string(),
        Err(Reason::UnreadableAnswer) => "?".to_string(),
        Err(reason) => reason.name().to_string(),
    }
}

/// (output, letter or "-" for none or "?" for several, why)
type Row = (&'static str, &'static str, &'static str);

fn check(choices: &[&str], rows: &[Row]) {
    let mut wrong = Vec::new();
    for (output, expected, why) in rows {
        let found = decided(output, choices);
        if found != *expected {
            wrong.push(format!("{output:?}: {found}, not {expected}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn boxes() {
    check(
        &COLOURS,
        &[
            (r"so \boxed{B}.", "B", "the plain form"),
            (r"so $\boxed{(B)}$", "B", "brackets inside"),
            (r"so \boxed{\text{B}}", "B", "a style inside"),
            (r"so \boxed{\textbf{(B)}}", "B", "a style around brackets"),
            (r"so \boxed{\text{(B) green}}", "B", "letter and text"),
            (r"so \boxed{B. green}", "B", "a label and its text"),
            (r"so \boxed{B: red}", "B", "the letter decides where letter and text differ"),
            (r"so \boxed{b}", "B", "lower case"),
            (r"so \boxed{Answer: C}", "C", "the A of the word is no answer"),
            (r"so \boxed{Option C}", "C", "a word before the letter"),
            (r"so \boxed{The answer is D}", "D", "a sentence"),
            (r"so \boxed {C}", "C", "a space before the brace"),
            (r"so \fbox{C}", "C", "the other box"),
            (r"\boxed{A} no, wait: \boxed{D}", "D", "the last decision wins"),
            (r"so \boxed{green}", "B", "a choice's text"),
            (r"so \boxed{\text{Green}}", "B", "a choice's text, other case"),
            (r"so \boxed{E}", "-", "no such choice"),
            ("<think>A</think>\n<answer>B</answer>", "B", "a letter in tags"),
            ("<answer>green</answer>", "B", "a choice's text in tags"),
            ("A? <answer>The answer is (B).</answer>", "B", "a sentence in tags"),
            (r"so \boxed{42}", "-", "no letter"),
            (r"so \boxed{A, C}", "?", "two letters"),
            (r"so \boxed{A \text{ and } C}", "?", "two letters, as in mathematics"),
            (r"so \boxed{A \text{ since } C}", "A", "a text between is a comment"),
            (r"so \boxed{B", "-", "cut off: the rest is unknown"),
            (r"so \boxed{}", "-", "empty"),
            (r"The answer is A. \boxed{}", "A", "an empty box takes nothing back"),
            (r"The answer is \boxed{C}", "C", "announced and boxed"),
            (r"\boxed{C} is what the answer is about", "C", "words behind that decide nothing"),
            (r"\[\boxed{\mathrm{D}}\]", "D", "a formula of its own"),
        ],
    );
}

#[test]
fn announcements() {
    check(
        &COLOURS,
        &[
            ("The answer is (B).", "B", "brackets"),
            ("The answer is B", "B", "bare"),
            ("the answer is b.", "B", "lower case before a full stop"),
            ("The answer is: (c)", "C", "lower case in brackets"),
            ("Answer: C", "C", "a colon"),
            ("ANSWER: C", "C", "upper case"),
            ("**Answer:** C", "C", "markdown around the word"),
            ("**Answer: C**", "C", "markdown around both"),
            ("Answer: **C**", "C", "markdown around the letter"),
            ("### Final Answer\n\n**D**", "D", "a heading"),
            ("Final answer: d", "D", "lower case at the end"),
            ("Final Answer:\n\nD", "D", "on its own line"),
            ("Answer: \"C\"", "C", "quoted"),
            ("Answer: B, which is green.", "B", "words behind"),
            ("Answer: B) green", "B", "a label"),
            ("Answer B", "B", "no link, a capital"),
            ("The correct answer is option D.", "D", "a word between"),
            ("The correct option is D: yellow", "D", "another word"),
            ("The best choice is $D$.", "D", "a formula"),
            ("The answer to this question is therefore (A).", "A", "words between"),
            ("The answer must be C because it is blue", "C", "must be"),
            ("The answer is definitely C.", "C", "an adverb"),
            ("Option C is correct.", "C", "the letter before"),
            ("(C) is the correct answer, as shown.", "C", "the letter in brackets before"),
            ("So B is right.", "B", "is right"),
            ("I choose B.", "B", "a choice"),
            ("I'd go with option (D)", "D", "another"),
            ("We select $\\text{D}$", "D", "a style"),
            ("réponse est C non A", "C", "French"),
            ("La respuesta correcta es (B)", "B", "Spanish, with an adjective"),
            ("La respuesta es (B)", "B", "Spanish"),
            ("答案是B。", "B", "Chinese"),
            ("答案：C", "C", "Chinese colon"),
            ("The answer is green.", "B", "a choice's text"),
            ("The answer is the green.", "B", "with an article"),
            ("Answer: Green", "B", "other case"),
        ],
    );
}

#[test]
fn the_last_decision_wins() {
    check(
        &COLOURS,
        &[
            ("The answer is A. No: the answer is B.", "B", "corrected"),
            ("The answer is C.\n\nAnswer: A", "A", "the final line"),
            ("Answer: A\n\nThis answer is popular.", "A", "a later word that decides nothing"),
            ("Answer: A. The other answer is wrong.", "A", "no letter behind"),
            (
                "The answer is (B).\n\n\nAnswer: The answer is (J).\n",
                "B",
                "a letter beyond the choices is none",
            ),
            ("<think>The answer is A.</think>The answer is B.", "B", "reasoning does not count"),
            (
                "<think>Maybe B? The answer is B.</think>\n\nI do not know.",
                "-",
                "only in the reasoning",
            ),
            (
                "The answer is (B).\n\nQuestion: What?\nThe answer is (C).",
                "B",
                "the next question is not ours",
            ),
            ("Question: What?\nThe answer is (C).", "C", "a question that is repeated first"),
            (
                "The answer is (C).<|im_end|>\n<|im_start|>user\nThe answer is A",
                "C",
                "a made-up turn",
            ),
        ],
    );
}

#[test]
fn what_is_no_decision() {
    check(
        &COLOURS,
        &[
            ("", "-", "nothing"),
            ("I think it is blue-ish.", "-", "the pronoun"),
            ("The answer is determined by the mass.", "-", "a word that begins with d"),
            ("The answer is a matter of taste.", "-", "the article"),
            ("The answer is A matter of taste.", "-", "the article with a capital"),
            ("The answer is not B.", "-", "denied"),
            ("I would not choose B.", "-", "denied before"),
            ("The answer cannot be B.", "-", "denied otherwise"),
            ("The answer is A or B.", "?", "two"),
            ("The answer is either (A) or (B).", "?", "two in brackets"),
            ("The answer is both A and B.", "?", "two joined"),
            ("Answer: A, B", "?", "a list"),
            ("Answer: A/B", "?", "a slash"),
            ("Answer: B, and A is wrong", "B", "the second is only mentioned"),
            ("The answer is B-12 vitamin", "-", "a hyphen"),
            ("The answer is D.C. as a place", "-", "initials"),
            ("The answer is A = 5", "-", "a variable"),
            ("Is B is correct?", "-", "a question"),
            ("If B is correct, then red.", "-", "a condition"),
            ("A or B is correct.", "-", "two"),
            ("The answer is 5.", "-", "a number"),
            ("A. red\nB. green\nC. blue\nD. yellow", "-", "the choices repeated"),
            ("The answered letter E", "-", "another word, another letter"),
            ("The closest option is (B).", "-", "none is right, then"),
            (
                "(D) is correct because of x.\n\n(E) is not correct because of",
                "-",
                "weighing, cut off",
            ),
            ("A red cell in a green field", "-", "an article"),
        ],
    );
}

#[test]
fn several_at_once() {
    check(
        &COLOURS,
        &[
            (r"\boxed{A \text{ or } B}", "?", "a command between"),
            (r"\boxed{A\ \text{or}\ B}", "?", "spaces between"),
            (r"\boxed{A \lor B}", "?", "a logical or"),
            (r"\boxed{\text{A}, \text{B}}", "?", "styles around each"),
            (r"\boxed{A B}", "?", "a space between"),
            (r"\boxed{(A)(B)}", "?", "brackets around each"),
            (r"\boxed{\text{(A) or (B)}}", "?", "in one text"),
            (r"\boxed{A \& C}", "?", "an escaped sign"),
            (r"\boxed{D. Both A and B}", "D", "letters in a choice's text"),
            (r"\boxed{C: 5 A}", "C", "a unit in a choice's text"),
            (r"\boxed{B \text{ (not A)}}", "B", "denied"),
            (r"\boxed{\text{B: green}, \text{C: blue}}", "?", "with their texts"),
            (r"\boxed{A} or \boxed{B}", "?", "two boxes"),
            (r"$\boxed{A}$ and $\boxed{B}$", "?", "two formulas"),
            (r"\boxed{red} or \boxed{green}", "?", "two boxes of texts"),
            (r"\boxed{A}, \boxed{B}, \boxed{B}", "?", "three boxes"),
            (r"\boxed{B}, \boxed{B}", "B", "the same twice"),
            (r"\boxed{3}, \boxed{B}", "B", "another result before"),
            (r"\boxed{A}. Wrong, so \boxed{B}", "B", "words between"),
            ("Answer: A or maybe B", "?", "an adverb behind the or"),
            ("Answer: A or possibly (B)", "?", "another, and brackets"),
            ("The answer is A or b", "?", "lower case behind the or"),
            ("The answer is A or b.", "?", "lower case at an end"),
            ("The answer is B or a mixture", "B", "the article"),
            ("The answer is A (or B)", "?", "in brackets"),
            ("The answer is (A)(B)", "?", "brackets side by side"),
            ("The answer is (A) (B).", "?", "with a space"),
            ("The answer is (B) (A is wrong).", "B", "a sentence in brackets"),
            ("Answer: A) red, B) green", "?", "labels and texts"),
            ("Answer: (A) red, (B) green", "?", "labels in brackets and texts"),
            ("Answer: A. red or C. blue", "?", "labels with full stops"),
            ("Answer: A) crimson, B) olive", "?", "labels and other words"),
            ("Answer: A) red, as B) fails", "A", "a reason that names another"),
            ("Answer: B) green, and A) is wrong", "B", "a sentence on another"),
            ("Answer: B. green, since (A) fails", "B", "a reason in brackets"),
        ],
    );
}

#[test]
fn a_mention_is_no_decision() {
    check(
        &COLOURS,
        &[
            ("The answer is B.\nOption A is correct only if it were red.", "B", "a condition"),
            ("The answer is B.\nC is correct in other contexts.", "B", "another context"),
            ("Answer: B\nReason: Statement A is correct but not the reason.", "B", "a statement"),
            (r"\boxed{B} Although C is correct here.", "B", "a concession"),
            ("The answer is B. Some say C is correct.", "B", "others say it"),
            ("The answer is B. I doubt that C is correct.", "B", "a doubt"),
            (
                "The answer is A. Wait: B is correct.",
                "?",
                "two decisions, and neither announced again",
            ),
            ("The answer is A. Wait: so B is the correct answer.", "B", "announced again"),
            ("The answer is B. Indeed B is right.", "B", "the same again"),
            ("B is correct in this context.", "B", "the only word on it"),
            ("We choose a, b so that a<b. Then it follows.\n\n**B**", "B", "names of variables"),
            ("Let us pick c, d > 0. It holds.\n\nB", "B", "names of variables behind a verb"),
            ("I pick (c).", "C", "lower case in brackets"),
            ("The answer is A. Wait... The answer is certainly C.", "C", "an adverb"),
            ("The answer is A. Wait... The answer is actually C.", "C", "another"),
            ("The answer is A. No, the answer is obviously (C).", "C", "another, with brackets"),
            ("The answer is rather C.", "C", "a word between"),
            ("The answer is hardly C.", "-", "an adverb that denies"),
            ("The answer is certainly a cell.", "-", "the article behind an adverb"),
        ],
    );
}

#[test]
fn what_is_denied_is_no_decision() {
    check(
        &COLOURS,
        &[
            ("I don't think the answer is A.", "-", "denied before"),
            (
                "I do not believe that the correct answer is (A).",
                "-",
                "denied before, with words between",
            ),
            (
                "I think not much is sure, but I think the answer is A.",
                "A",
                "another clause denies",
            ),
            ("I am not sure but I think the answer is A.", "A", "denied, then thought"),
            ("The incorrect answer is A.", "-", "an adjective that denies"),
            ("A tempting answer is A.\n\nThe right one? Hard.", "-", "another"),
            ("Since A is wrong the answer is B.", "B", "a reason, not an adjective"),
            ("Since it is not red the answer is B.", "B", "a reason that denies something else"),
            ("It is not the case that x. The answer is B.", "B", "another sentence"),
            ("It is not true that the answer is B.", "-", "denied as a whole"),
            ("I doubt the answer is A.", "-", "doubt"),
            ("No doubt the answer is A.", "A", "none"),
            ("Some might say the answer is A, but this is wrong.", "-", "others say it"),
            ("One might think the answer is A.", "-", "nobody says it"),
            (
                "If the answer is A then x. The text ends there, and nothing else is said.",
                "-",
                "a condition",
            ),
            ("If x = 2, the answer is A.", "A", "a condition of something else"),
            ("The answer is A is false, so it is B", "-", "said to be false"),
            ("The answer is A, but that is not right.", "-", "taken back"),
            ("The answer is A, which is false.", "A", "what was asked for"),
            ("The answer is A, but it is not obvious.", "A", "something else is denied"),
            ("A is incorrect", "-", "the only letter is denied"),
            ("It isn't A.", "-", "the only letter is denied otherwise"),
            ("The answer is not A but B", "B", "one denied, one named"),
            ("The answer is not A, but rather (B).", "B", "the same with brackets"),
            ("The answer is not red but green.", "B", "the same with texts"),
            ("The answer is not only A but also B", "-", "both"),
            ("The answer is not A but close", "-", "none named"),
            (r"The answer is not $\boxed{A}$", "-", "a box denied"),
            (
                "The answer is B. I would not say that the answer is A.",
                "B",
                "the one that is not denied",
            ),
        ],
    );
}

#[test]
fn letters_alone() {
    check(
        &COLOURS,
        &[
            ("B", "B", "nothing else"),
            ("b", "B", "lower case"),
            ("(b)", "B", "brackets"),
            ("B.", "B", "a full stop"),
            ("**B**", "B", "markdown"),
            ("$B$", "B", "a formula"),
            ("B) green", "B", "a label"),
            ("(B) green", "B", "a label in brackets"),
            ("D. it can't be A or B", "D", "a label, then others"),
            ("B。不是 A", "B", "a Chinese full stop"),
            ("Because B is valid", "B", "the only letter"),
            ("Green it is, surely.\n\nB", "B", "the last line"),
            ("Some thoughts.\nHence (C)", "C", "the only brackets of the last line"),
            ("blue", "C", "a choice's text"),
            ("Some thoughts.\nBlue.", "C", "a choice's text on the last line"),
            ("It could be (A) or (B)", "-", "two"),
            ("f(A) is 3\nand g(B) too", "-", "functions"),
        ],
    );
}

#[test]
fn choices_that_look_like_letters_or_words() {
    check(
        &TITLES,
        &[
            ("The answer is A Tale of Two Cities.", "B", "a text that begins with an article"),
            ("The answer is I, Robot.", "D", "a text that begins with a pronoun"),
            ("Answer: A", "A", "the letter"),
            ("The answer is A because it is.", "A", "the letter, then a connecting word"),
        ],
    );
    check(
        &ATOMS,
        &[
            (r"\boxed{C}", "C", "a letter means the letter, as the prompt asks"),
            (r"\boxed{H}", "B", "no such letter, but such a text"),
            ("The answer is (N)", "D", "the same announced"),
        ],
    );
    check(
        &TEN,
        &[
            ("The answer is (I).", "I", "I where it is a choice"),
            ("I think the answer is J.", "J", "the pronoun before"),
            (
                "The answer is I think B",
                "B",
                "the pronoun behind is no decision, the only letter is",
            ),
            ("The answer is I.", "I", "I at an end"),
        ],
    );
    let genes = ["bb", "BB", "Bb"];
    for (output, letter) in [("The answer is BB", "B"), ("The answer is Bb.", "C"), ("bb", "A")] {
        assert_eq!(decided(output, &genes), letter, "{output:?}");
    }
    assert_eq!(decided("The answer is U.", &[&["x"; 20][..], &["U"]].concat()), "U");
    assert_eq!(decided("alpha", &["alpha", "beta"]), "A");
    assert_eq!(decided("B", &["only"]), "-");
}

#[test]
fn choices_by_their_texts() {
    check(
        &["12", "-12", "6", "-6"],
        &[
            ("The answer is -12.", "B", "a sign"),
            ("Answer: -12", "B", "a sign behind a colon"),
            ("Answer: −12", "B", "another minus"),
            (r"The answer is $-12$.", "B", "a sign in a formula"),
            (r"The answer is \(-12\).", "B", "other marks of a formula"),
            ("The answer is - 12.", "B", "a space behind the sign"),
            (r"\boxed{-6}", "D", "a sign in a box"),
            ("The answer is -5.", "-", "no choice"),
            ("The answer is 12.", "A", "a full stop"),
            ("The answer is 12, since 3*4 = 12.", "A", "a comma"),
            ("The answer is 12 because of x.", "A", "a reason"),
            ("The answer is **12**.", "A", "markdown"),
            ("The answer is 12 (see above)", "A", "a remark in brackets"),
            ("The answer is 12 - as shown.", "A", "a dash"),
            ("Answer:\n\n- 12", "A", "a bullet"),
            ("The answer is 6", "C", "one digit"),
            ("The answer is 12.5", "-", "decimals"),
            ("The answer is 12,000", "-", "thousands"),
            ("The answer is 12%", "-", "per cent"),
            (r"The answer is $12\%$", "-", "per cent in a formula"),
            ("The answer is 6/7", "-", "a fraction"),
            ("The answer is 6.5", "-", "one digit and decimals"),
            ("The answer is 6!", "C", "an exclamation"),
            ("The answer is 12 + 1", "-", "a sum"),
            ("The answer is 12 million", "-", "a larger number"),
            ("The answer is > 12", "-", "an inequality"),
            ("The answer is 6 or 12", "?", "two"),
            ("The answer is 12, 6", "?", "a list"),
            (r"\boxed{12.5}", "-", "decimals in a box"),
        ],
    );
    check(
        &["x^2", "x^2+1", "2/3", "2"],
        &[
            ("The answer is x^2 + 1.", "B", "the longer one, with spaces"),
            ("The answer is x^2.", "A", "the shorter one"),
            ("The answer is $x^{2}$.", "A", "braces"),
            ("The answer is x^2 + 2.", "-", "none of them"),
            ("The answer is x^2 - 1.", "-", "none of them"),
            ("The answer is 2 / 3.", "C", "a fraction with spaces"),
            ("The answer is 2/5.", "-", "another fraction"),
            ("The answer is 2^3.", "-", "a power"),
            ("The answer is -2.", "-", "a sign that no choice has"),
        ],
    );
    check(
        &[r"$\frac{1}{2}$", "10 m", r"$\Delta x$", r"$(2, 3)$", r"$\delta x$"],
        &[
            (r"\boxed{\frac{1}{2}}", "A", "a formula without dollars"),
            (r"\boxed{\dfrac{1}{2}}", "A", "another size"),
            (r"The answer is $\frac{1}{2}$.", "A", "announced"),
            (r"The answer is $\frac{1}{2} + 1$.", "-", "a sum"),
            (r"\boxed{10 \text{ m}}", "B", "a unit as text"),
            (r"\boxed{10\,\mathrm{m}}", "B", "a unit upright"),
            ("The answer is 10 m.", "B", "a unit"),
            ("The answer is 10 m/s.", "-", "another unit"),
            (r"The answer is $\delta x$.", "E", "case carries meaning"),
            (r"\boxed{\Delta x}", "C", "case carries meaning"),
            ("The answer is (2, 3).", "D", "a pair"),
        ],
    );
    check(
        &["red", "red blood cells", "Bb", "bB"],
        &[
            ("The answer is red blood cells.", "B", "the longer one"),
            ("The answer is red bone marrow.", "-", "another noun"),
            ("The answer is red-ish.", "-", "another word"),
            ("The answer is red, which is right.", "A", "a clause"),
            ("The answer is BB.", "-", "neither of two that differ in case"),
            ("The answer is red or Bb.", "?", "two"),
            ("<answer>B</answer> or not", "B", "a tag behind the letter"),
            ("The answer is B</answer>", "B", "a tag behind the letter"),
            ("The answer is red</answer>", "A", "a tag behind the text"),
            ("The answer is B<A", "-", "less than"),
        ],
    );
}

#[test]
fn references() {
    assert_eq!(resolve(&COLOURS, "C"), Some(2));
    assert_eq!(resolve(&COLOURS, "(c)"), Some(2));
    assert_eq!(resolve(&COLOURS, "Blue"), Some(2));
    assert_eq!(resolve(&ATOMS, "C"), Some(0), "the text comes first");
    assert_eq!(resolve(&ATOMS, "O"), Some(2));
    assert_eq!(resolve(&LETTERS, "Alina and the answer is\n(C) Cecile"), Some(2));
    assert_eq!(resolve(&COLOURS, "purple"), None);
    assert_eq!(resolve::<&str>(&[], "A"), None);
}

#[test]
fn a_grade_says_what_it_read() {
    let graded = |submission, correct| grade(submission, &COLOURS, correct);
    let right = Grade { verdict: Verdict::Correct, extracted: Some("B".into()) };
    assert_eq!(graded(Submission::Response("Answer: B"), 1), right);
    assert_eq!(graded(Submission::Prediction("(b) green"), 1), right);
    assert_eq!(graded(Submission::Prediction("green"), 1), right);
    let wrong = Grade { verdict: Verdict::Wrong, extracted: Some("B".into()) };
    assert_eq!(graded(Submission::Response("Answer: B"), 0), wrong);
    let none = |reason| Grade { verdict: Verdict::Unparsable(reason), extracted: None };
    assert_eq!(graded(Submission::Response("no idea"), 0), none(Reason::NoAnswer));
    assert_eq!(graded(Submission::Prediction("B and C"), 0), none(Reason::UnreadableAnswer));
    assert_eq!(graded(Submission::Prediction("B"), 4), none(Reason::UnreadableReference));
}

proptest! {
    #[test]
    fn total(output in ".{0,200}", choices in prop::collection::vec(".{0,12}", 0..6), correct in 0..6_usize) {
        grade(Submission::Response(&output), &choices, correct);
        grade(Submission::Prediction(&output), &choices, correct);
        resolve(&choices, &output);
    }

    #[test]
    fn total_on_what_looks_like_answers(
        parts in prop::collection::vec(prop::sample::select(vec![
            "answer", " is ", "is correct", ":", "(", ")", "A", "b", "I", r"\boxed{", "}", r"\text{", "\n",
            "é", "。", "or", " and ", "$", "{", r"\frac", r"\", "−", "12", " ", ",", "is wrong", "some say ", "not ", "choose ", "option", ".", "**", "答案", "'", "</think>", "Question:",
        ]), 0..24),
    ) {
        let output = parts.concat();
        grade(Submission::Response(&output), &COLOURS, 0);
        grade(Submission::Prediction(&output), &TITLES, 3);
        grade(Submission::Response(&output), &[r"$\frac{1}{2}$", "12", "−12 é", "{}", "$", "é"], 0);
    }

    #[test]
    fn every_usual_form_is_read(index in 0..10_usize, form in 0..12_usize, before in "[a-z ,]{0,60}") {
        let named = letter(index);
        let small = named.to_ascii_lowercase();
        let form = match form {
            0 => format!(r"\boxed{{{named}}}"),
            1 => format!("The answer is ({named})."),
            2 => format!("Answer: {named}"),
            3 => format!("**Final Answer: {named}**"),
            4 => format!("The correct option is {named}."),
            5 => format!("Option {named} is the correct choice.").replace("Option I", "Option (I)"),
            6 => format!("({named})"),
            7 => format!("{named}"),
            8 => format!("Answer: ({small})"),
            9 => format!(r"$\boxed{{\text{{({named})}}}}$"),
            10 => format!("I choose ({named})."),
            _ => format!("Final answer: {small}"),
        };
        prop_assume!(!(form.contains("is the correct") && named == 'I'));
        prop_assume!(!before.contains("answer") && !before.contains("option"));
        let output = format!("{before}\n\n{form}");
        prop_assert_eq!(decided(&output, &TEN), named.to_string(), "{}", output);
    }
}
