//! The value of a record: an order as the café's handler takes it.

const ORDER: &str = r#"{"drink":"flat white","size":"large","notes":""}"#;
const NOTES: &str = "one sugar, no lid, and a glass of water please; ";

/// An order of so many bytes, or the shortest there is.
pub(crate) fn order(bytes: usize) -> String {
    let room = bytes.saturating_sub(ORDER.len());
    let notes: String = NOTES.chars().cycle().take(room).collect();
    ORDER.replace(r#""notes":"""#, &format!(r#""notes":"{notes}""#))
}
