//! Text from elsewhere, made safe for a terminal.

/// `text` with every character that a terminal would obey, or that would reorder what is seen, written as an escape.
pub(crate) fn text(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            plain.extend(character.escape_unicode());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Whether a terminal must not get to see it: C0, DEL, C1, and the marks that change the direction of text.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded() {
        assert_eq!(
            text("wan\x1b[2J\x07\u{9b}31m"),
            "wan\\u{1b}[2J\\u{7}\\u{9b}31m"
        );
        assert_eq!(text("a\nb\rc\u{7f}"), "a\\u{a}b\\u{d}c\\u{7f}");
        assert_eq!(text("\u{202e}4nal"), "\\u{202e}4nal");
    }

    #[test]
    fn other_text_stays() {
        assert_eq!(text("größer 路由 ✕"), "größer 路由 ✕");
    }
}
