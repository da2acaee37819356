//! What an equation states, sides that are only about equal, and conditions as sets.

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

const CONDITIONS: &[(&str, &str, char)] = &[
    (r"(-\infty,1)\cup(3,\infty)", "x<1 or x>3", '='),
    ("x<1 or x>3", r"(-\infty,1)\cup(3,\infty)", '='),
    (r"x<1 \text{ or } x>3", r"x>3 \text{ or } x<1", '='),
    ("x<1 or x>3", "x<1 or x>4", 'x'),
    ("2<x<5", "x>2 and x<5", '='),
    ("x>2 and x<5", "2<x<5", '='),
    ("(2,5)", "x>2 and x<5", '='),
    ("x<2 or x>5", "x<2 and x>5", 'x'),
    (r"(-\infty,2)\cup(5,\infty)", "x<2, x>5", '='),
    ("x<2 or x>5", "x<2, x>5", '='),
    ("2<x<5", "x>2, x<5", '='),
    ("2<x<5", "x>2, x<6", 'x'),
    (r"\mathbb{R}-\{2\}", r"(-\infty,2)\cup(2,\infty)", '='),
    (r"\mathbb{R}-\{2\}", r"x \ne 2", '?'),
    (r"\mathbb{R}", "all real numbers", '='),
    (r"\text{all real numbers}", r"(-\infty, \infty)", '='),
    (r"\emptyset", r"\text{no solution}", '='),
    ("no solutions", r"\emptyset", '='),
    ("no solution", "No real solutions", '='),
    ("no solution", "0", 'x'),
    ("5", "no solution", 'x'),
    (r"\{2\}\cup\{3\}", "2, 3", '='),
    (r"x = 1 \text{ or } x = 2", "1, 2", '='),
    (r"x \ne 1 and x \ne 2", r"x \ne 1, x \ne 2", '='),
    (r"x \le -1 or x = 3", r"(-\infty,-1] \cup \{3\}", '='),
    ("x<1 or x>3", "5", 'x'),
    (r"(-\infty, 3)", "x<3", '?'),
    ("x<1, y>2", "y>2, x<1", '='),
    ("x<1, y>2", "y>2, x<2", 'x'),
    ("x < 1 or y > 2", "y > 2 or x < 1", '='),
    ("1 < x < 3 or x > 5", r"(1,3) \cup (5,\infty)", '='),
    ("x<1 or x>3", r"x<1 \lor x>3", '='),
];

#[test]
fn conditions_are_sets() {
    check(CONDITIONS, Submission::Prediction);
}
