//! Text as it grows token by token.

/// Turns tokens into text. The model knows no tokenizer; the caller lends one.
pub trait Decode: Sync {
    /// The text of `tokens`; bytes that are no whole character as U+FFFD. `None` for tokens without
    /// text.
    fn decode(&self, tokens: &[u32]) -> Option<String>;
}

/// The text of a sample so far.
///
/// A token may hold a part of a character, and a text may depend on the token before it. So a piece is
/// taken from the decoding of the last few tokens together, and only once it is whole.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    /// Tokens before `taken` are in `text`; those from `context` on are decoded with the new ones.
    context: usize,
    taken: usize,
}

impl Text {
    /// Takes in the last of `tokens`. Where one of `stops` appears the text is cut before it, and the
    /// result is true.
    pub(super) fn push(&mut self, decode: &dyn Decode, tokens: &[u32], stops: &[String]) -> bool {
        let before = decode.decode(&tokens[self.context..self.taken]).unwrap_or_default();
        let with = decode.decode(&tokens[self.context..]).unwrap_or_default();
        let Some(piece) = with.get(before.len()..).filter(|piece| !piece.is_empty()) else {
            return false;
        };
        if piece.ends_with('\u{FFFD}') && tokens.len() - self.taken < 8 {
            return false;
        }
        let old = self.text.len();
        self.text.push_str(piece);
        (self.context, self.taken) = (self.taken, tokens.len());
        let found = stops.iter().filter_map(|stop| {
            // A stop that ended before was found before.
            let mut from = old.saturating_sub(stop.len());
            while !self.text.is_char_boundary(from) {
                from -= 1;
            }
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
    use super::*;

    /// Tokens are bytes.
    struct Bytes;

    impl Decode for Bytes {
        fn decode(&self, tokens: &[u32]) -> Option<String> {
            let bytes: Vec<u8> = tokens.iter().map(|token| *token as u8).collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
    }

    fn run(input: &[u8], stops: &[&str]) -> (String, usize) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let tokens: Vec<u32> = input.iter().map(|byte| u32::from(*byte)).collect();
        let mut text = Text::default();
        for end in 1..=tokens.len() {
            if text.push(&Bytes, &tokens[..end], &stops) {
                return (text.so_far().to_owned(), end);
            }
            assert!(!text.so_far().contains('\u{FFFD}') || input.len() > 8);
        }
        (text.so_far().to_owned(), tokens.len())
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
}
