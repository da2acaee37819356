//! What is equal and what is not, as a table: reference, answer, and whether they are.

mod collections;
mod equations;
mod spellings;
mod units;

use proptest::prelude::*;

use super::*;

/// `?` marks pairs that no one here decides.
const PREDICTIONS: &[(&str, &str, char)] = &[
    ("1000000", "1 000 000", '='),
    ("1000.99", "1 000.99", '='),
    ("3000", "3,000", '='),
    ("-1000.99", "-1,000.99", '='),
    ("1000.99", "1.000,99", '='),
    (r"$\{1,2\} \cup \{3,4\}$", r"$\{1,2,3,4\}$", '='),
    ("(2,3)", "[2,3]", 'x'),
    (r"\{(1,2),(3,4)\}", r"\{(3,4),(1,2)\}", '='),
    ("$9$", r"\begin{align*} x &= 5+4 \\ &= 9 \end{align*}", '='),
    (r"\sqrt[3]{27}", "3", '='),
    (r"\frac{1}{3}", r"$1/3 \textbf{ meters}$", '='),
    ("5", "$x = 5$", '='),
    (r"(-\infty, 3)", "x<3", '?'),
    ("x<3", r"(-\infty,3)", '='),
    ("[-2,7]", r"$x \in [-2,7]$", '='),
    (r"-2 \le x \le 7", "[-2,7]", '='),
    (r"\mathbb{R} \setminus \{1\}", r"(-\infty,1)\cup(1,\infty)", '='),
    (r"x \neq 1", r"(-\infty,1)\cup(1,\infty)", '='),
    (r"(-\infty,\infty)", r"\mathbb{R}", '='),
    (r"\frac{\pi}{3}", r"60^\circ", '='),
    (r"\sin 60^\circ", r"\frac{\sqrt{3}}{2}", '='),
    ("2^{10}", "1024", '='),
    ("5!", "120", '='),
    (r"\binom{5}{2}", "10", '='),
    (r"{5 \choose 2}", "10", '='),
    ("n!/(n-1)!", "n", '?'),
    (r"\frac{n(n+1)}{2}", r"\binom{n+1}{2}", '='),
    ("x^2-1", "(x-1)(x+1)", '='),
    ("x^2-1", "(x-1)(x+2)", 'x'),
    ("70.9", "70", 'x'),
    ("2003^2002^2001", "2003^2002^2001", '='),
    ("5", "2003^2002^2001", '?'),
    ("2003^{2002^{2001}}", "7", '?'),
    ("10^{10^{10}}", "10^{10^{10}}", '='),
    ("0.5", "50%", '='),
    ("1/2", r"50\%", '='),
    ("50", "50%", '='),
    ("0.333", "1/3", 'x'),
    ("0.33333", "1/3", '='),
    ("3.14159", r"\pi", '='),
    ("3.14", r"\pi", 'x'),
    ("1e-8", "2e-8", 'x'),
    ("5866608", "5866609", 'x'),
    ("1,234", "1234", '='),
    ("(1,234)", "(1234)", 'x'),
    ("1,2,3", "3,2,1", '='),
    ("(1,2,3)", "(3,2,1)", 'x'),
    (r"1\frac{3}{4}", "1.75", '='),
    ("1 3/4", "7/4", '='),
    (r"x+1 \text{ and } x-1", "x-1, x+1", '='),
    (r"\pm 2", "2,-2", '='),
    (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}", '='),
    (r"2\pm 3i", "2+3i, 2-3i", '='),
    ("A", "B", 'x'),
    ("E", "e", 'x'),
    (r"\text{yes}", "Yes", '='),
    (r"\text{even}", "odd", 'x'),
    ("Evelyn", "Angela", 'x'),
    ("5", "five", 'x'),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)", '='),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\3\end{bmatrix}", 'x'),
    (r"\log_2 8", "3", '='),
    (r"\ln e^2", "2", '='),
    (r"e^{i\pi}+1", "0", '='),
    ("|{-3}|", "3", '='),
    (r"\lfloor 3.7 \rfloor", "3", '='),
    (r"0.\overline{3}", "1/3", '='),
    (r"0.1\overline{6}", "1/6", '='),
    ("x=2,y=3", "(2,3)", '='),
    ("x=2, y=3", "y=3, x=2", '='),
    ("y=2x+1", "2x-y+1=0", '='),
    ("y = 2x+1", "y=2x+2", 'x'),
    ("x>2", "2<x", '='),
    ("x>2", "x<2", 'x'),
    (r"x \ge 2", "x>2", 'x'),
    ("12 cm", "12", '='),
    ("12", "12 cm", '='),
    ("12 cm^2", "12", '='),
    ("5 m", "5", '='),
    ("30 km/h", "30", '='),
    ("$5", "5", '='),
    ("5 dollars", "5", '='),
    (r"\$1,250.50", "1250.5", '='),
    (r"45^\circ", "45", '='),
    ("45 degrees", "45", '='),
    (r"\frac{1}{2}", "0.5", '='),
    (r"-\frac12", "-1/2", '='),
    (r"\frac{-1}{2}", "-0.5", '='),
    (r"\frac{a}{b}", "a/b", '='),
    ("a+b", "b+a", '='),
    ("ab", "ba", '='),
    (r"\sqrt{x^2}", "|x|", '='),
    (r"\sqrt{x^2}", "x", 'x'),
    (r"\sqrt{ab}", r"\sqrt{a}\sqrt{b}", '='),
    ("2:3", "2/3", '='),
    ("3:4", "4:3", 'x'),
    (r"\{x | x>3\}", r"(3,\infty)", '='),
    (r"\emptyset", r"\{\}", '='),
    ("10", r"10\text{ units}", '='),
    (r"1.5\times 10^3", "1500", '='),
    ("1.5e3", "1500", '='),
    ("2^{2025}", "2^{2024}", 'x'),
    ("2^{2025}", r"2\cdot 2^{2024}", '='),
    ("100!", "100!", '='),
    ("100!", "101!/101", '='),
    (r"\sum_{k=1}^n k", r"\sum_{i=1}^n i", '='),
    ("f(x)=x^2", "x^2", '='),
    ("f(x)=x^2", "f(t)=t^2", '?'),
    ("", "", '?'),
    ("204_5", "204", '='),
    ("204_5", "54", 'x'),
    ("204_5", "204_5", '='),
    ("(3,4]", "(3,4]", '='),
    ("(3,4]", "[3,4]", 'x'),
    ("]3,4]", "(3,4]", '='),
    (r"\left(\frac{1}{2}, 3\right)", "(0.5,3)", '='),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}", '='),
    (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5+2\sqrt{6}}", '='),
    (r"\cos^2 x", r"1-\sin^2 x", '='),
    (r"\sin 2x", r"2\sin x\cos x", '='),
    ("e^{x+y}", "e^x e^y", '='),
    ("x^{1/2}", r"\sqrt{x}", '='),
    (r"\frac{d}{dx}", "5", 'x'),
    (r"2\sqrt{3}", "2*sqrt(3)", '='),
    ("2√3", r"\sqrt{12}", '='),
    ("½", "0.5", '='),
    ("x²+1", "x^2+1", '='),
    ("π/2", r"\frac{\pi}{2}", '='),
    ("−5", "-5", '='),
    ("3,5,7", "3, 5, and 7", '='),
    (r"\text{(A)}", "A", '='),
    (r"\textbf{(B)}", "B", '='),
    ("10:30", "10:30", '='),
    ("3/4", "0.75", '='),
    ("0", "-0", '='),
    ("1", "0.9999999", 'x'),
    (r"\frac{3}{x}+\frac{1}{y}", r"\frac{3y+x}{xy}", '='),
    ("(x+1)^{10}", "(1+x)^{10}", '='),
    ("1/0", "5", '?'),
    (r"\infty", r"\infty", '='),
    (r"-\infty", r"\infty", 'x'),
];

/// Whole outputs: the answer must be found first.
const RESPONSES: &[(&str, &str, char)] = &[
    ("$9$", r"\[ 9 \]", '='),
    ("6", "The answer is 6.", '='),
    ("6", "I get 5 then 6 apples.", '='),
    ("6", "**Answer:** 6", '='),
    (r"\frac{1}{2}", r"The final answer is $\frac{1}{2}$", '='),
    ("7", r"\boxed{6} wait, \boxed{7}", '='),
    ("7", r"<think>\boxed{6}</think> The answer is 7", '='),
    ("12", r"\boxed{12} is not right", '='),
    (r"\frac{1}{2}", r"<answer>\frac{1}{2}</answer>", '='),
    ("2", r"<answer>\frac{1}{2}</answer>", 'x'),
    ("2x+3", "It is 7. <answer>2x+3</answer>", '='),
    ("x=2 or x=3", "<answer>x=2 or x=3</answer>", '='),
    ("3", "<answer>x=2 or x=3</answer>", 'x'),
    ("yes", "<answer> Yes </answer>", '='),
    ("5", r"<answer>\boxed{5}</answer>", '='),
    ("5", "<answer>The answer is 5.</answer>", '='),
    ("5", r"<answer>4</answer> No: <answer>5</answer> or \boxed{6}", '='),
    ("5", "<think><answer>4</answer></think> It is 5.", '='),
];

fn sign(grade: &Grade) -> char {
    match grade.verdict {
        Verdict::Correct => '=',
        Verdict::Wrong => 'x',
        Verdict::Unparsable(_) => '?',
    }
}

fn check(rows: &'static [(&str, &str, char)], wrap: fn(&'static str) -> Submission<'static>) {
    let wrong = rows.iter().filter_map(|(reference, answer, expected)| {
        let found = grade(wrap(answer), reference);
        (sign(&found) != *expected)
            .then(|| format!("{reference:?} and {answer:?}: expected {expected}, got {found:?}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn predictions_are_judged() {
    check(PREDICTIONS, Submission::Prediction);
}

#[test]
fn responses_are_judged() {
    check(RESPONSES, Submission::Response);
}

#[test]
fn fewer_digits_are_enough_where_the_caller_says_so() {
    let verdict = |digits| grade_to(Submission::Prediction("0.33"), "1/3", digits).verdict;
    assert_eq!(verdict(2), Verdict::Correct);
    assert_eq!(verdict(3), Verdict::Wrong);
}

#[test]
fn sizes_are_bounded() {
    let deep = "(".repeat(900) + "1" + &")".repeat(900);
    let roots = "\\sqrt{".repeat(280) + "2" + &"}".repeat(280);
    let towers = "9^".repeat(900) + "9";
    let list = "1,".repeat(999) + "2";
    let long = "9".repeat(3000);
    for text in [deep, roots, towers, list, long] {
        let grade = grade(Submission::Prediction(&text), "5");
        assert_ne!(grade.verdict, Verdict::Correct, "{text}");
    }
}

/// Expressions with all operations, and the same ones written differently.
fn expression() -> impl Strategy<Value = (String, String)> {
    let leaf = prop_oneof![
        (1_u32..40).prop_map(|n| (n.to_string(), n.to_string())),
        prop::sample::select(vec!["x", "y", "n"]).prop_map(|x| (x.to_string(), x.to_string())),
        Just(("\\pi".to_string(), "π".to_string())),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|((a, b), (c, d))| (format!("({a}+{c})"), format!("({d}+{b})"))),
            pair.clone().prop_map(|((a, b), (c, d))| (format!("({a}-{c})"), format!("(-{d}+{b})"))),
            pair.clone().prop_map(|((a, b), (c, d))| (
                format!("{{{a}}}\\cdot {{{c}}}"),
                format!("({d})*({b})")
            )),
            pair.prop_map(|((a, b), (c, d))| (
                format!("\\frac{{{a}}}{{{c}}}"),
                format!("(({b})/({d}))")
            )),
            inner.clone().prop_map(|(a, b)| (format!("\\sqrt{{{a}}}"), format!("sqrt({b})"))),
            inner.prop_map(|(a, b)| (format!("{{({a})}}^2"), format!("({b})*({b})"))),
        ]
    })
}

/// Found by fuzzing: nesting that was read, or evaluated, twice a level. None of them may hang.
#[test]
fn nesting_does_not_double_the_work() {
    let deep = [
        "f(".repeat(60),
        format!("{}x{}", "f(".repeat(40), ")".repeat(40)),
        format!("3{}", "!".repeat(1000)),
        format!("x{}", "!".repeat(15)),
        format!("{}x{}", "\\binom{".repeat(20), "}{x}".repeat(20)),
        "$a$ is or ".repeat(9000),
    ];
    for text in &deep {
        for submission in [Submission::Response(text), Submission::Prediction(text)] {
            assert_ne!(grade(submission, "7").verdict, Verdict::Correct, "{text:.40}");
            grade(submission, text);
        }
    }
}

proptest! {
    #[test]
    fn total_on_any_text(answer in any::<String>(), reference in any::<String>()) {
        grade(Submission::Response(&answer), &reference);
        grade(Submission::Prediction(&answer), &reference);
    }

    #[test]
    fn total_on_what_looks_like_mathematics(
        answer in "[0-9xyzei+*/^_(){}\\[\\]|,.;=<>!%$ \\\\-]{0,60}",
        command in prop::sample::select(vec!["\\frac", "\\sqrt", "\\boxed{", "\\text{", "\\left(", "\\begin{pmatrix}", "\\sum_", "\\pm"]),
    ) {
        let text = format!("{command}{answer}");
        grade(Submission::Response(&text), &answer);
        grade(Submission::Prediction(&text), &text);
    }

    #[test]
    fn rewritten_expressions_are_equal((one, other) in expression()) {
        let found = grade(Submission::Prediction(&other), &one);
        // A division by zero, or digits lost to cancellation, leave it open; it is never wrong.
        prop_assert_ne!(found.verdict, Verdict::Wrong, "{} and {}", one, other);
    }

    #[test]
    fn one_more_is_different((one, other) in expression()) {
        let found = grade(Submission::Prediction(&format!("{other}+1")), &one);
        prop_assert_ne!(found.verdict, Verdict::Correct, "{} and {}+1", one, other);
    }
}
