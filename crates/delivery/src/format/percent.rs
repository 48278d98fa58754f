//! Percent-encoding, of which URIs and headers each want their own.

use std::fmt::Write as _;

/// `text` with every byte that `stays` does not name written as `%XX`.
pub(crate) fn encode(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii() && stays(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            write!(encoded, "%{byte:02X}").ok();
        }
    }
    encoded
}

/// What may stand in one segment of a URI's path (RFC 3986 §3.3).
pub(super) fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

/// What may stand in the header of a CloudEvents attribute (HTTP binding §3.1.3.2).
pub(super) fn is_attribute_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%')
}

/// What is never encoded (RFC 3986 §2.3).
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
