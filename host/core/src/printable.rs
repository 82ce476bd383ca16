//! Text of strangers in what people read: no byte of it can pass for another line or steer a terminal.

use std::fmt::{self, Display, Write};

/// Displays a text with its control characters escaped, and with those that break lines or reorder them on the screen.
/// Tabs stay.
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| self.write_char(character))
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        match character {
            '\t' => self.0.write_char(character),
            // U+2028 and U+2029 break lines too, and U+202A to U+2069 reorder them.
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => write!(self.0, "{}", character.escape_unicode()),
            _ if character.is_control() => write!(self.0, "{}", character.escape_default()),
            _ => self.0.write_char(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_text_stays() {
        let printed = |text: &str| Printable(text).to_string();
        assert_eq!(printed("Kaffee für Łukasz\t☕"), "Kaffee für Łukasz\t☕");
        assert_eq!(printed("a\x1b[31mred\nforged\0"), "a\\u{1b}[31mred\\nforged\\u{0}");
        assert_eq!(printed("a\u{2028}b\u{202e}c"), "a\\u{2028}b\\u{202e}c");
    }
}
