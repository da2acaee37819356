//! Where the answer of an output is: one row a sentence.

use proptest::prelude::*;

use super::super::{Submission, Verdict, grade};
use crate::answer::{numeric, text};

/// Reference, response, and whether they are equal: an answer is taken as a whole, and a remark behind it does not replace it.
const SENTENCES: &[(&str, &str, char)] = &[
    ("0.5", r"Therefore, the answer is $\frac{1}{2}$.", '='),
    ("0.5", r"#### \frac{1}{2}", '='),
    ("5", r"The answer is $\sqrt{25} = 5$", '='),
    ("20", r"The answer is $4 \times 5 = 20$", '='),
    ("1024", "The answer is 2^10", '='),
    ("3000000", "The answer is 3 million.", '='),
    ("3000000", "The answer is 3 million dollars.", '='),
    ("3000000", "So in the end they pay 3 million.", '='),
    ("3", "The answer is 3 million.", 'x'),
    ("3", "There were millions, and 3 left.", '='),
    ("1234", "The answer is $1{,}234$.", '='),
    ("18", "A: $2 * $9 = $18 a day.", '='),
    ("18", "The answer is $18 a day, and $20 else.", '='),
    ("12", r"The answer is $\boxed{12}$.", '='),
    ("20", r"The answer is $4 \times 5$ = $20$.", '='),
    ("60", "The answer is 60 percent.", '='),
    ("5", "The answer is 5, since 3 is less.", '='),
    ("5", "The answer is **5**.", '='),
    ("5", "**The answer is 5**", '='),
    ("1000", "The answer is 1,000.", '='),
    ("-3", "The answer is -3.", '='),
    ("5", "Answer: She has 5 apples.", '='),
    ("5", "Answer: 5 apples and 3 pears", '='),
    ("5", "The answer is that she has 5 left.", '='),
    ("5", r"\boxed{5}. This final answer uses 3 steps.", '='),
    ("9", "Final Answer: 9\nConfidence: 95%", '='),
    ("42", "The final answer is 42 miles, which is more than 40.", '='),
    ("42", "Final answer: 42 (see step 2).", '='),
    (
        "12",
        "The answer is 12.\n\nTo verify that this answer is right, substitute x=3: 4*3 = 12.",
        '=',
    ),
    ("12", "The answer is 12. This answer is consistent with the 2 equations.", '='),
    ("12", "Answer:\n\n12\n\nExplanation: 3 groups of 4.", '='),
    ("12", "**Final Answer**\n\n12\n\n(Checked with n = 3.)", '='),
    ("12", "**Answer**: 12\n\nThis follows from 3 groups of 4.", '='),
    ("15", "The answer is 12. Wait. So the answer is 15.", '='),
    ("12", "The answer is 12.\n\nNote that the answer is based on 2020 data.", '='),
    ("12", "The answer is 12. The answer is not 13.", '='),
    ("7", "The answer is\n\\[\n7\n\\]\nas 3+4.", '='),
    ("12", "The final answer is therefore 12.", '='),
    ("12", "Final answer 12", '='),
    ("12", "**Final Answer:** $12$", '='),
    ("12", "Let us check the answer: 3*5 is 15.\nThe answer is 12", '='),
    ("12", "The answer to the question is 12, not 13.", '='),
    (
        "12",
        "So the answer is $x = 12$. You can check that the answer is right by using 3 and 4.",
        '=',
    ),
    ("72", "Answer: Natalia sold 72 clips in 2 months.", '='),
    (r"2\sqrt3", "The answer is 2√3 square units.", '='),
    (r"3\pi", "The answer is 3π square inches.", '='),
    ("1024", "The answer is 2^10 ways.", '='),
    ("120", "The answer is 5! = 120 ways.", '='),
    ("25", "The answer is 20 + 5 = 25 dollars.", '='),
    ("x^2+1", "The answer is x^2+1 for all x.", '='),
    ("(3,4)", "The answer is (3, 4), as shown.", '='),
    (r"2\sqrt2", "The length is 2√2.", '='),
    (r"\frac34", r"So the result is \frac{3}{4}.", '='),
    ("10!", "There are 10! orders.", '='),
    ("2,3", "The answer is $x=2$ or $x=3$.", '='),
    ("1,2", "The solutions are $1$ and $2$", '='),
    ("1,2", "The roots are 1 and 2.", '='),
    ("2", "The roots are 1 and 2.", 'x'),
    ("yes", "The answer is yes.", '='),
    ("Friday", "The answer is Friday.", '='),
    ("Friday", "**Friday**", '='),
    ("Friday", "So the answer is Friday, since 3 days pass.", '='),
    ("Friday", "The answer is Monday.", 'x'),
    ("5", "The answer is below.\n\n5", '='),
    ("5", "The answer is yes.", '?'),
    ("(3,4)", "The point is (3, 4).", '='),
    ("2xy+3", "The answer is 2xy+3.", '='),
    ("5", "The answer is 5 a day.", '='),
    ("42", "The answer is 42!", '='),
    ("42", "It is 42!", '='),
    ("4", "It has 3 and 4 apples.", '='),
    ("18", "It costs $18/day.", '='),
    ("1,2,3", "They are 1, 2, and 3.", '='),
    ("z=4", "We have $x = 2$, $y = 3$ and $z = 4$.", '='),
    ("x^2-4", "The answer is x^2 - 4, where x > 0.", '='),
    ("6", "I get 5 then 6 apples.", '='),
    ("1011_2", "It is 1011_2.", '='),
    (r"\sqrt{2+3}", r"It is \sqrt{2 + 3}.", '='),
    ("6", r"It is $2 \cdot 3 = 6$ cm.", '='),
    ("7", "First, some words.\nQuestion: how many?\nAnswer: 7", '='),
    ("12", "The answer is 12 (since 3*4 = 12).", '='),
    ("12", "Thus the answer is:\n\n$$12$$", '='),
    ("12", "So, the answer is:\n**12**", '='),
    ("12", "Answer = 12", '='),
    ("12", r"Final Answer: \(12\)", '='),
    ("12", "The final answer is: $12$. I hope it is correct.", '='),
    ("12", "The answer, then, is 12.", '='),
    ("12,13", "The answers are 12 and 13.", '='),
    ("12", "My answer is 12 because 5 + 7 = 12 and 3 < 4.", '='),
    ("12", "The answer is 12 because there are 3 groups of 4.", '='),
    ("12", "There are 12 answers, 3 of which are odd. So 12", '='),
    ("12", "\"The answer is 12\"", '='),
    ("12", "12 is the answer.", '='),
    ("12", "Therefore, 12 is the final answer.", '='),
    ("12", r"**The final answer is $\mathbf{12}$**", '='),
    ("12", "The correct answer is $12$", '='),
    ("100", "The answer is 100%.", '='),
    ("1000000", "The answer is 1,000,000 people.", '='),
    ("5", "The answer is n = 5 when m = 3", '='),
    ("5", "The answer is 5 when m = 3", '='),
    ("5", "The answer is 5 if x > 0", '='),
    ("5", "The answer is 5 or fewer", '='),
    ("5", "The answer is 5 and not 6", '='),
    ("5", "The answer is 5 – a prime.", '='),
    ("5", "The answer is 5: it is prime", '='),
    ("5", "The answer is 5; 6 is too large", '='),
    ("5", "The answer is 5 = 2 + 3.", '='),
    ("5", "The answer is 2 + 3 = 5.", '='),
    ("5", "The answer is 10 / 2 = 5 apples", '='),
    ("5", "#### 5", '='),
    ("5", "#### $5", '='),
    ("5", "####5", '='),
    ("5", "#### The answer is 5", '='),
    ("5", "#### x = 5", '='),
    ("5", "#### Step 1\nwe add 2 and 3\n#### Step 2\nSo there are 5.", '='),
    ("5", "### Final Answer\n5", '='),
    ("5", "**Answer:**\n\n**5**", '='),
    ("5", "**Answer: 5 apples**\n\nExplanation: 3+2", '='),
    ("5", "Final Answer: The final answer is $5$.", '='),
    ("5", "So the answer is five (5).", '='),
    ("5", "Answer: 5\n\nHuman: what about 6?\n\nAssistant: Answer: 6", '='),
    ("5", "The answer is 5.<|end|><|assistant|>The answer is 6", '='),
    ("5", "<|assistant|>The answer is 5.<|end|>", '='),
    ("5", "The answer is 5.\n\nQ: A new one?\nA: The answer is 6.", '='),
    ("6", "Let me restate.\nQuestion: what is 2*3?\nThe answer is 6.", '='),
    (r"\frac{1}{2}", r"The probability is \frac{1}{2}, as asked.", '='),
    (r"\frac{1}{2}", "The probability is (1/2).", '='),
    ("7", "* 7", '='),
    ("7", "apples - 7", '='),
    ("(1,2)", "So the pair is $(1, 2)$.", '='),
    ("0", "The answer is 0.", '='),
    ("0.5", "The answer is .5", '='),
    ("5", "The answer isn't 4. The answer is 5", '='),
    ("5", "The answer is 5\nThe answer is not 4.", '='),
    ("12", "a_{12} is not it; it has 12.", '='),
    ("2", "So x^2 has degree 2.", '='),
    ("9", "So there are 3^2 = 9 ways.", '='),
    ("x^2", "The area is x^2.", '='),
    ("2x", "The area is 2x.", '='),
    ("30", "The answer is 30 min", '='),
    ("1", "The limit is 1!", '='),
    ("no", "The answer is no.", '='),
    ("no", "The answer is: **No**", '='),
    ("circle", "The answer is a circle.", '='),
    ("even", "The final answer is even.", '='),
    ("even", "Final Answer: even\nConfidence: 95%", '='),
    ("5", "The answer is $5$ cm and not $6$ cm.", '='),
    ("5", "\\boxed{5}\n\n**Final Answer**: see above, step 3.", '='),
    ("5", "\\boxed{5}\n\nThe final answer is in the box, after 3 steps.", '='),
    ("5", r"\boxed{5} is my final answer, 100%.", '='),
    ("5", r"The final answer is \boxed{5}.", '='),
    ("5", r"\boxed{4} Hmm. **Final Answer:** 5", '='),
    ("5", "The answer is 5, 6 being too large", '='),
    ("(5,6)", "The answer is (5, 6), being too large", '='),
    ("12", "The answer is $12$, and $x = 3$ confirms it.", '='),
    ("(2,3)", "The answer is $x = 2$, $y = 3$.", '='),
    ("(2,3)", "The answer is x = 2, y = 3.", '='),
    ("15", "The answer is 5 x 3 = 15.", '='),
    ("15", "So 5 x 3 = 15", '='),
    ("15", "The answer is 5 x $3 = $15.", '='),
    ("5", "The answer is 5 i.e. five", '='),
    ("5", "Answer: She needs 5 more eggs, which is 3 dozen", '='),
    ("5", "Answer: There are 5 eggs and 3 hens", '='),
    ("5", "Answer: What is left is 5.", '='),
    ("120", "Final Answer: The volume of 3 boxes is 120 cm.", '='),
    ("1,2,3", "The answer is 1, 2, and 3 respectively", '='),
    ("1/4", "The answer is 1/4 (or 25%).", '='),
    ("7", "The answer is\n\nLet us see: 3 + 4 = 7", '='),
    ("7", "Let us find the answer: 3+4 = 7", '='),
    ("2:3", "The answer is 2:3.", '='),
    ("2:3", "The ratio is 2:3.", '='),
    ("5", "It is 5...", '='),
    ("1/2", "It is ½.", '='),
    ("x>3", "The answer is x > 3.", '='),
    ("[1,2)", "The answer is [1, 2).", '='),
    (r"(-\infty,2)", "The answer is (-∞, 2).", '='),
    (r"\sqrt{2}", "The answer is sqrt(2).", '='),
    (r"2\pi r", "The answer is 2πr.", '='),
    ("ab+c", "The answer is ab + c.", '='),
    ("y=2x+1", "The equation is y = 2x + 1.", '='),
    ("x^2+2x+1", "The answer is x^2 + 2x + 1", '='),
    ("x^2+2x+1", "We get x^2 + 2x + 1", '='),
    ("x(x+1)", "We get x(x + 1).", '='),
    ("3", "There are 3 (three) of them.", '='),
];

#[test]
fn answers_in_sentences_are_found() {
    let wrong = SENTENCES.iter().filter_map(|(reference, response, expected)| {
        let found = grade(Submission::Response(response), reference);
        let sign = match found.verdict {
            Verdict::Correct => '=',
            Verdict::Wrong => 'x',
            Verdict::Unparsable(_) => '?',
        };
        (sign != *expected).then(|| format!("{reference:?}, {response:?}: {found:?}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What cannot be read is called wrong neither where it stands alone nor in a sentence.
#[test]
fn no_number_is_cut_out_of_what_cannot_be_read() {
    for text in ["2^^3", "\\frac{3}+2", "f(3", "3!^^2", "√^3"] {
        for response in
            [text.to_string(), format!("The answer is {text}"), format!("It is {text}.")]
        {
            for reference in ["2", "3"] {
                let found = grade(Submission::Response(&response), reference);
                assert!(matches!(found.verdict, Verdict::Unparsable(_)), "{response:?}: {found:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn total_on_what_looks_like_a_sentence(
        lead in prop::sample::select(vec!["", "é", "The answer is ", "Answer: ", "#### ", "**Final answer**\n", "are "]),
        text in "([0-9]{1,2}|[xaé√π€$²½.,()!^_{}+=*/-]|[\\\\]|\\$| |\n| or | and | is |,|\\\\frac|ly |i\\.e\\.){0,30}",
    ) {
        let text = format!("{lead}{text}");
        for reference in ["5", "x+1", "yes"] {
            grade(Submission::Response(&text), reference);
            grade(Submission::Prediction(&text), reference);
            numeric::grade(Submission::Response(&text), reference);
            text::grade(Submission::Response(&text), reference);
        }
    }
}
