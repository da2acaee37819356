//! Ratios, times of day, lists, tuples, intervals, vectors and matrices, and which of them may stand for another.

use super::{Submission, check};

const ROWS: &[(&str, &str, char)] = &[
    ("[1, 2]", "1, 2", '?'),
    ("[1, 2]", "1, 3", 'x'),
    ("[1, 2]", "(1, 2)", 'x'),
    ("1, 2", "[1, 2]", '='),
    ("1, 2", "(1, 2)", '='),
    ("1, 2", r"\{1, 2\}", '='),
    ("1, 2", "2, 1", '='),
    ("1, 2", "[1, 3]", 'x'),
    ("1, 2", "[1, 2)", 'x'),
    ("[1, 2, 3]", "1, 2, 3", '='),
    (r"\begin{bmatrix}1\\2\end{bmatrix}", "[1,2]", '='),
    (r"\begin{bmatrix}1\\2\end{bmatrix}", "[2,1]", 'x'),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "[[1,2],[3,4]]", '='),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "[[1,3],[2,4]]", 'x'),
    (r"\begin{pmatrix}1&2&0\\3&4&0\\0&0&1\end{pmatrix}", "[[1,2,0],[3,4,0],[0,0,1]]", '='),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\[4pt]3&4\end{bmatrix}", '='),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "1, 2", '='),
    ("(2,5)", "(2;5)", '='),
    ("[2,5)", "[2;5)", '='),
    ("(2,3)", "[2,3]", 'x'),
    ("[2,3]", "(2,3)", 'x'),
    ("[2,3]", "[2,3]", '='),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "[[1],[2]]", '='),
];

#[test]
fn brackets_say_what_is_meant() {
    check(ROWS, Submission::Prediction);
}

const RATIOS_AND_TIMES: &[(&str, &str, char)] = &[
    ("1:2:3", "1:3:2", 'x'),
    ("2:3:5", "2:5:3", 'x'),
    (r"\frac16", "1:2:3", 'x'),
    ("1:2:3", "2:4:6", '='),
    ("1:2:3", "1:2:3", '='),
    ("1:2:3", "1:2", 'x'),
    ("2:3", "4:6", '='),
    ("10:30 AM", "5:15 AM", 'x'),
    ("10:30 AM", "10:30 PM", 'x'),
    ("5 PM", "5 AM", 'x'),
    ("5 PM", "5 p.m.", '='),
    ("5 PM", "5:00 pm", '='),
    ("10:30 AM", r"10:30 \text{ a.m.}", '='),
    (r"10:30\text{ AM}", "10:30 am", '='),
    ("10:30 AM", "10:30", '='),
    ("2:30 PM", "14:30", '='),
    ("2:30 PM", "2:45", 'x'),
    ("5 PM", "5", '='),
    ("5", "5 PM", '='),
    ("0:30:00", "0:15:00", 'x'),
    ("5am", "5ma", '='),
    (r"4\!:\!51\!:\!06 \text{ p.m.}", "4:51:06 PM", '='),
    (r"4\!:\!51\!:\!06 \text{ p.m.}", r"4\!:\!51\!:\!06", '='),
    ("4:51:06 PM", "4:51:07 PM", 'x'),
    ("4:51:06 PM", "4:51 PM", 'x'),
];

#[test]
fn ratios_are_proportional_and_times_are_not() {
    check(RATIOS_AND_TIMES, Submission::Prediction);
}
