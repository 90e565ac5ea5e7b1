//! SHA-256 in hexadecimal.

/// Parses 64 hexadecimal digits of either case; `None` for any other text.
pub fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    // The length is checked first, because the decoder also accepts a prefix `0x`.
    (text.len() == 64)
        .then(|| hex::decode_to_array(text).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_hexadecimal_digits_parse() {
        assert_eq!(parse_sha256(&"0f".repeat(32)), Some([15; 32]));
        assert_eq!(parse_sha256(&"0F".repeat(32)), Some([15; 32]));
        for text in [
            String::new(),
            "0f".repeat(31),
            "0f".repeat(33),
            format!("0x{}", "0f".repeat(31)),
            format!("0x{}", "0f".repeat(32)),
            "+f".repeat(32),
            "é".repeat(32),
        ] {
            assert_eq!(parse_sha256(&text), None, "{text}");
        }
    }
}
