//! Text as it grows token by token.

/// Turns tokens into text. The model knows no tokenizer; the caller lends one.
pub trait Decode: Sync {
    /// The text of `tokens`; bytes that are no whole character as U+FFFD. `None` for tokens without
    /// text.
    fn decode(&self, tokens: &[u32]) -> Option<String>;
}

/// Tokens that may go by without a character becoming whole, and those without text that are kept.
const PATIENCE: usize = 8;

/// The text of a sample so far.
///
/// A token may hold a part of a character, and a text may depend on the token before it. So a piece is
/// taken from the decoding of the last few tokens together, as far as its characters are whole. How many
/// tokens that are is bounded, whatever they are.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    /// The tokens that are decoded together.
    window: Vec<u32>,
    /// Tokens at its start whose text was taken before the others came.
    context: usize,
    /// What of its text is in `text`.
    taken: String,
    /// Tokens in a row that left a character open and brought nothing whole.
    open: usize,
}

impl Text {
    /// Takes in the next token; what is not whole after the `last` one stays so. Where one of `stops`
    /// appears the text is cut before it, and the result is true.
    pub(super) fn push(
        &mut self,
        decode: &dyn Decode,
        token: u32,
        stops: &[String],
        last: bool,
    ) -> bool {
        self.window.push(token);
        let shown = decode.decode(&self.window).unwrap_or_default();
        // What was taken of bytes that made no character may turn out to be a part of one.
        let same = self.taken.bytes().zip(shown.bytes()).take_while(|(a, b)| a == b).count();
        let start = shown.floor_char_boundary(same);
        if start == shown.len() {
            self.forget_silent();
            return false;
        }
        let mut whole = shown.trim_end_matches('\u{FFFD}').len();
        self.open = if whole > start { 0 } else { self.open + 1 };
        if last || self.open == PATIENCE {
            (whole, self.open) = (shown.len(), 0);
        }
        if whole <= start {
            return false;
        }
        let old = self.text.len();
        self.text.push_str(&shown[start..whole]);
        self.taken = shown[..whole].to_owned();
        let is_whole = whole == shown.len();
        if is_whole || self.window.len() - self.context >= PATIENCE {
            self.forget_context(decode, is_whole);
        }
        self.cut(old, stops)
    }

    /// Keeps the last few of the tokens that have shown nothing: they may still tell how the next is read.
    fn forget_silent(&mut self) {
        if self.window.len() - self.context > PATIENCE {
            self.window.remove(self.context);
        }
    }

    /// What is new becomes the context of what comes.
    fn forget_context(&mut self, decode: &dyn Decode, is_whole: bool) {
        self.window.drain(..self.context);
        self.context = self.window.len();
        self.taken = decode.decode(&self.window).unwrap_or_default();
        if !is_whole {
            self.taken.truncate(self.taken.trim_end_matches('\u{FFFD}').len());
        }
    }

    /// Cuts before the first of `stops` in the text, of which the part up to `old` was looked at before.
    fn cut(&mut self, old: usize, stops: &[String]) -> bool {
        let found = stops.iter().filter_map(|stop| {
            // A stop that ended before was found before.
            let from = self.text.floor_char_boundary(old.saturating_sub(stop.len()));
            self.text[from..].find(stop.as_str()).map(|at| from + at)
        });
        let Some(at) = found.min() else { return false };
        self.text.truncate(at);
        true
    }

    /// What is certain so far.
    pub(super) fn so_far(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// Tokens are pieces of bytes; those beyond have no text. Counts what it is given.
    struct Pieces {
        pieces: Vec<Vec<u8>>,
        decoded: AtomicUsize,
    }

    impl Pieces {
        fn new(pieces: Vec<Vec<u8>>) -> Self {
            Self { pieces, decoded: AtomicUsize::new(0) }
        }

        fn bytes() -> Self {
            Self::new((0..=255).map(|byte| vec![byte]).collect())
        }
    }

    impl Decode for Pieces {
        fn decode(&self, tokens: &[u32]) -> Option<String> {
            self.decoded.fetch_add(tokens.len(), Ordering::Relaxed);
            let pieces = tokens.iter().filter_map(|token| self.pieces.get(*token as usize));
            let bytes: Vec<u8> = pieces.flatten().copied().collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
    }

    /// The text up to the first stop, and after how many tokens that was.
    fn all(decode: &dyn Decode, tokens: &[u32], stops: &[&str]) -> (String, usize) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut text = Text::default();
        for (at, token) in tokens.iter().enumerate() {
            if text.push(decode, *token, &stops, at + 1 == tokens.len()) {
                return (text.so_far().to_owned(), at + 1);
            }
        }
        (text.so_far().to_owned(), tokens.len())
    }

    /// Tokens are bytes.
    fn run(input: &[u8], stops: &[&str]) -> (String, usize) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let bytes = Pieces::bytes();
        let mut text = Text::default();
        for (at, byte) in input.iter().enumerate() {
            if text.push(&bytes, u32::from(*byte), &stops, false) {
                return (text.so_far().to_owned(), at + 1);
            }
            assert!(!text.so_far().contains('\u{FFFD}') || input.len() > 8);
        }
        (text.so_far().to_owned(), input.len())
    }

    #[test]
    fn characters_are_whole_and_all_arrive() {
        assert_eq!(run("naïve — 🦀!".as_bytes(), &[]).0, "naïve — 🦀!");
        assert_eq!(run(b"", &[]).0, "");
        // Half a character waits for the rest; a run of bytes that is no text does not wait for ever.
        assert_eq!(run(&"aé".as_bytes()[..2], &[]).0, "a");
        assert!(run(&[0xFF; 20], &[]).0.len() >= 12);
    }

    #[test]
    fn the_first_stop_cuts_the_text_before_it() {
        assert_eq!(run(b"one\nTwo\n\nthree", &["\n\n"]), ("one\nTwo".into(), 9));
        assert_eq!(run(b"abcdef", &["ef", "cd"]), ("ab".into(), 4));
        assert_eq!(run("été—x".as_bytes(), &["é—"]), ("ét".into(), 8));
        assert_eq!(run(b"abc", &["d"]), ("abc".into(), 3));
        assert_eq!(run(b"aab", &["aab", "ab"]), (String::new(), 3));
    }

    #[test]
    fn a_stop_is_found_beside_a_part_of_a_character() {
        // As a token of Qwen3 that is a space and two of the three bytes of a quotation mark.
        let tokens = ["So it is".into(), b" \xE2\x80".to_vec(), b"\x9C".to_vec(), b"a".to_vec()];
        let pieces = Pieces::new(tokens.to_vec());
        assert_eq!(all(&pieces, &[0, 1, 2, 3], &[" \u{201C}"]), ("So it is".into(), 3));
        assert_eq!(all(&pieces, &[3, 1, 2, 3], &["a "]), (String::new(), 2));
        assert_eq!(all(&pieces, &[3, 1, 2, 3], &[" "]), ("a".into(), 2));
        // At the limit too, where the rest never comes.
        assert_eq!(all(&pieces, &[3, 1], &["a "]), (String::new(), 2));
        assert_eq!(all(&pieces, &[3, 1], &[]), ("a \u{FFFD}".into(), 2));
        assert_eq!(all(&pieces, &[0, 1, 2, 3], &[]), ("So it is \u{201C}a".into(), 4));
        // Each holds the end of a character and the start of the next.
        let pieces = Pieces::new(vec![b"\xE2\x80".to_vec(), b"\x94x\xE2\x80".to_vec()]);
        let (text, tokens) = ("\u{2014}x".repeat(40), [vec![0], vec![1; 40]].concat());
        assert_eq!(all(&pieces, &tokens, &[]).0, format!("{text}\u{FFFD}"));
        assert_eq!(all(&pieces, &tokens, &["x\u{2014}"]), ("\u{2014}".into(), 3));
    }

    #[test]
    fn tokens_without_text_cost_what_others_cost() {
        let pieces =
            Pieces::new(vec![b"a".to_vec(), "\u{1F980}".as_bytes()[..2].to_vec(), vec![0xFF]]);
        let (hidden, count) = (9, 4000);
        for tokens in [
            vec![hidden; count],
            [vec![0], vec![hidden; count], vec![0]].concat(),
            [vec![1], vec![hidden; count]].concat(),
            [0, hidden, hidden, hidden].repeat(count / 4),
            vec![1; count],
            vec![2; count],
            [2, hidden, 1].repeat(count / 3),
        ] {
            pieces.decoded.store(0, Ordering::Relaxed);
            all(&pieces, &tokens, &["none"]);
            let decoded = pieces.decoded.load(Ordering::Relaxed);
            // The context, the tokens that wait, and once more those that become the context.
            assert!(decoded <= 6 * PATIENCE * tokens.len(), "{decoded} for {}", tokens.len());
        }
    }

    #[test]
    fn a_character_survives_tokens_without_text_around_and_inside() {
        let crab = "\u{1F980}".as_bytes();
        let pieces = Pieces::new(vec![crab[..1].to_vec(), crab[1..2].to_vec(), crab[2..].to_vec()]);
        for hidden in 0..30 {
            let tokens = [vec![9; hidden], vec![0, 9, 1, 9, 2], vec![9; hidden], vec![0, 1, 2]];
            assert_eq!(all(&pieces, &tokens.concat(), &[]).0, "\u{1F980}\u{1F980}", "{hidden}");
        }
    }

    /// The first word loses the blank before it, as with SentencePiece.
    struct Words;

    impl Decode for Words {
        fn decode(&self, tokens: &[u32]) -> Option<String> {
            let words = tokens.iter().filter(|token| **token < 26);
            let text: String =
                words.map(|token| format!(" {}", char::from(b'a' + *token as u8))).collect();
            Some(text.trim_start().to_owned())
        }
    }

    #[test]
    fn a_piece_depends_on_the_last_text_before_it_however_far_back() {
        for hidden in [0, 1, PATIENCE, 500] {
            let tokens = [vec![30; hidden], vec![0], vec![30; hidden], vec![1, 2]].concat();
            assert_eq!(all(&Words, &tokens, &[]).0, "a b c", "{hidden}");
        }
    }

    proptest! {
        /// Whole characters cut anywhere, with tokens that have no text among them.
        #[test]
        fn pieces_make_the_whole(
            input in "[a-z \u{E9}\u{2014}\u{1F980}]{0,60}",
            cuts in prop::collection::vec((1..5usize, 0..2usize), 1..300),
        ) {
            let (mut pieces, mut tokens, mut at) = (Vec::new(), Vec::new(), 0);
            for (len, hidden) in cuts.iter().cycle() {
                let end = input.len().min(at + len);
                tokens.push(pieces.len() as u32);
                tokens.extend(vec![u32::MAX; *hidden]);
                pieces.push(input.as_bytes()[at..end].to_vec());
                at = end;
                if at == input.len() {
                    break;
                }
            }
            prop_assert_eq!(all(&Pieces::new(pieces), &tokens, &[]).0, input);
        }

        /// Bytes of any kind: no stop of whole characters behind them is lost.
        #[test]
        fn damaged_bytes_do_not_hide_what_follows(input in prop::collection::vec(128..=255u8, 0..40)) {
            let tokens = [&input[..], b"abc END."].concat();
            let tokens: Vec<u32> = tokens.into_iter().map(u32::from).collect();
            let (text, read) = all(&Pieces::bytes(), &tokens, &["END"]);
            prop_assert!(text.ends_with("abc "), "{}", text);
            prop_assert_eq!(read, tokens.len() - 1);
        }
    }
}
