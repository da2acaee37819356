//! Lists, tuples, intervals, vectors and matrices, and which of them may stand for another.

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
