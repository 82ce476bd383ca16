//! "Did you mean": the known word nearest to what was written.

/// The candidate that a slip of the fingers could have turned into `written`, if there is one.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = fold(written);
    let allowed = (written.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(written.as_bytes(), fold(candidate).as_bytes()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the choice between `-` and `_` are no difference worth counting.
fn fold(word: &str) -> String {
    word.to_ascii_lowercase().replace('-', "_")
}

/// Levenshtein's distance: insertions, deletions and replacements that turn `a` into `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["topic", "topic_pattern", "operation", "deadline", "max_in_flight"];
        assert_eq!(nearest("topc", known), Some("topic"));
        assert_eq!(nearest("topic-pattern", known), Some("topic_pattern"));
        assert_eq!(nearest("Deadline", known), Some("deadline"));
        assert_eq!(nearest("max_inflight", known), Some("max_in_flight"));
        assert_eq!(nearest("colour", known), None);
    }
}
