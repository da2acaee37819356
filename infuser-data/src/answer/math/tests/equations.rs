//! What an equation states, and sides that are only about equal.

use super::{Submission, check};

const ROWS: &[(&str, &str, char)] = &[
    ("10", "m+n=10", '='),
    ("7", "a+b+c = 7", '='),
    ("5", "|AB| = 5", '='),
    ("0.2", "P(X > 3) = 0.2", '='),
    ("2x", r"\frac{dy}{dx} = 2x", '='),
    (r"\frac{n(n+1)}{2}", r"\sum_{k=1}^n k = \frac{n(n+1)}{2}", '='),
    ("3", r"\frac ab = 3", '='),
    ("10", "a_1 + a_2 = 10", '='),
    ("4.24", r"3\sqrt{2} \approx 4.24", '='),
    ("3.14", r"\pi \approx 3.14", '='),
    ("4.24", r"x = 3\sqrt{2} \approx 4.24", '='),
    (r"3\sqrt2", r"x = 3\sqrt{2} \approx 4.24", '='),
    ("4", r"3.87 \approx 4", '='),
    ("4", r"3 \approx 4", 'x'),
    ("4.25", r"3\sqrt{2} \approx 4.24", 'x'),
    ("7", "2a + 3b = 7", '='),
    ("5", "x + 2 = 5", 'x'),
    ("10", "2x = 10", 'x'),
    ("5", "2x = 10", 'x'),
    ("25", "x^2 + y^2 = 25", '='),
    ("3/4", r"\tan A = \frac{3}{4}", '='),
    ("50", r"m\angle A = 50^\circ", '='),
    (r"\frac{x}{2}", r"\frac{2x}{4} = \frac{x}{2}", '='),
    ("x+3", "x^2 + 5x + 6 = x + 3", 'x'),
    ("(x+2)(x+3)", "x^2 + 5x + 6 = (x+2)(x+3)", '='),
    ("x + y = 3", "3", 'x'),
    ("3", "x + y = 4", 'x'),
    ("12", r"\text{Area of } ABC = 12", '='),
    ("10", "10 = m + n", '='),
    ("x^2+y^2=25", "25", 'x'),
    ("x+y=25", "2x+2y=50", '='),
    ("4", "f(2) = 4", '='),
    ("4", "f(2) + g(2) = 4", '='),
    ("4", "f(2) + 3 = 4", 'x'),
    ("1/4", r"\frac{[ABC]}{[DEF]} = \frac14", '='),
    ("120", "5! = 120", '='),
    ("6", "2+3 = 6 - 1", 'x'),
];

#[test]
fn an_equation_states_the_value_of_its_other_side() {
    check(ROWS, Submission::Prediction);
}
