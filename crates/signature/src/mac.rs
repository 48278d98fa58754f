//! HMAC-SHA256, as all the shared-secret schemes use it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A key that has been taken in once, so that each signature costs its message alone. It has no `Debug`.
#[derive(Clone)]
pub(crate) struct MacKey(Hmac<Sha256>);

impl MacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    /// The hash of a message that is given in parts.
    pub(crate) fn hash(&self, message: &[&[u8]]) -> [u8; 32] {
        self.fed(message).finalize().into_bytes().into()
    }

    /// Whether `hash` is the message's, in constant time.
    pub(crate) fn verifies(&self, message: &[&[u8]], hash: &[u8]) -> bool {
        self.fed(message).verify_slice(hash).is_ok()
    }

    fn fed(&self, message: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        message.iter().for_each(|part| mac.update(part));
        mac
    }
}

/// Appends `bytes` in lower-case hexadecimal digits.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// The 32 bytes that a hash's 64 hexadecimal digits stand for.
pub(crate) fn hash_from_hex(text: &str) -> Option<[u8; 32]> {
    bytes_from_hex(text)?.try_into().ok()
}

/// The bytes that hexadecimal digits of either case stand for; as many as any hash has.
pub(crate) fn bytes_from_hex(text: &str) -> Option<Vec<u8>> {
    const LONGEST: usize = 2 * 64;
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() > LONGEST {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some((value_of(pair[0])? << 4) | value_of(pair[1])?)).collect()
}

fn value_of(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_in_hexadecimal_is_read_as_it_is_written() {
        let hash = MacKey::new(b"key").hash(&[b"a ", b"message"]);
        assert_eq!(hash, MacKey::new(b"key").hash(&[b"a message"]));
        let mut text = String::new();
        push_hex(&mut text, &hash);
        assert_eq!(hash_from_hex(&text), Some(hash));
        assert_eq!(hash_from_hex(&text.to_uppercase()), Some(hash));
        for bad in ["", &text[1..], &format!("{text}0"), &text.replace(&text[..1], "g"), &"é".repeat(32)] {
            assert_eq!(hash_from_hex(bad), None, "{bad}");
        }
    }
}
