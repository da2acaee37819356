//! Names that a person may have meant.

/// Names longer than this, and candidates beyond this many, are not compared.
const MOST: usize = 200;

/// The candidates nearest to `name`, best first, three at most.
pub fn nearest<'a>(name: &str, candidates: &'a [String]) -> Vec<&'a str> {
    let short = candidates.iter().filter(|candidate| candidate.len() <= MOST).take(MOST);
    let wanted = name.to_lowercase();
    let mut ranked: Vec<(usize, &str)> = short
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate.as_str()))
        .collect();
    ranked.sort();
    ranked.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// How many letters must be put in, taken out or changed. A name that holds the other counts as near.
fn distance(a: &str, b: &str) -> usize {
    if !a.is_empty() && !b.is_empty() && (a.contains(b) || b.contains(a)) {
        return usize::from(a != b);
    }
    let b: Vec<char> = b.chars().take(MOST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(MOST).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_first() {
        let names = ["Problem", "Answer", "Solution", "ID"].map(String::from);
        assert_eq!(nearest("problem", &names)[0], "Problem");
        assert_eq!(nearest("anwser", &names)[0], "Answer");
        assert_eq!(nearest("id", &names)[0], "ID");
        assert_eq!(nearest("x", &names).len(), 3);
        assert!(nearest("x", &[]).is_empty());
        for (a, b, expected) in [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
