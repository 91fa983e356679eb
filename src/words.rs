//! Finds the word that somebody meant.

/// Returns the known word that is most like `word`, if one is.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |candidate| (strsim::jaro_winkler(word, candidate), candidate);
    let best = known
        .into_iter()
        .map(likeness)
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 > 0.7).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_word_and_other_words_find_none() {
        assert_eq!(
            nearest("delivry", ["key", "codec", "delivery"]),
            Some("delivery")
        );
        assert_eq!(nearest("xyz", ["key", "codec"]), None);
    }
}
