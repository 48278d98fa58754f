//! Links that acknowledge: each names one delivery and the instant until which it holds, and carries a hash over both under
//! a key that serves for nothing else. It is the same on every attempt of the delivery.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clawhook_model::{DeliveryId, UnixMs};
use thiserror::Error;

use crate::mac::{MacKey, hash_from_hex, push_hex};

/// For how long a link holds, from the beginning of its delivery.
const HOLDS: Duration = Duration::from_hours(7 * 24);
/// What the hash is over, beside the delivery and the end: a link of another purpose is none of these.
const PURPOSE: &[u8] = b"clawhook acknowledge v1\0";

/// Makes links that acknowledge, and checks them. Cheap to clone.
#[derive(Clone)]
pub struct AckLinks {
    inner: Arc<Inner>,
}

struct Inner {
    key: MacKey,
    base: String,
}

/// Why a link acknowledges nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AckLinkError {
    /// It is not a link of this gateway.
    #[error("this link is not one of this gateway's")]
    Forged,
    /// Its time is over.
    #[error("this link held until {0}")]
    Expired(UnixMs),
}

impl fmt::Debug for AckLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckLinks").field("base", &self.inner.base).finish_non_exhaustive()
    }
}

impl AckLinks {
    /// Links that begin with `base`, which has no slash at its end, made with this key.
    pub fn new(base: String, key: &[u8]) -> Self {
        Self { inner: Arc::new(Inner { key: MacKey::new(key), base }) }
    }

    /// The link for a delivery that began at an instant.
    pub fn link(&self, delivery: DeliveryId, began_at: UnixMs) -> String {
        let until = began_at.plus(HOLDS).as_millis();
        let mut link = format!("{}/ack/{delivery}?until={until}&token=", self.inner.base);
        push_hex(&mut link, &self.inner.key.hash(&message(delivery, until).each_ref().map(Vec::as_slice)));
        link
    }

    /// Checks a link's parts, in constant time.
    pub fn check(
        &self,
        delivery: DeliveryId,
        until: &str,
        token: &str,
        now: UnixMs,
    ) -> Result<(), AckLinkError> {
        let until: i64 = until.parse().map_err(|_| AckLinkError::Forged)?;
        let hash = hash_from_hex(token).ok_or(AckLinkError::Forged)?;
        let message = message(delivery, until);
        if !self.inner.key.verifies(&message.each_ref().map(Vec::as_slice), &hash) {
            return Err(AckLinkError::Forged);
        }
        let until = UnixMs::from_millis(until);
        if until < now { Err(AckLinkError::Expired(until)) } else { Ok(()) }
    }
}

fn message(delivery: DeliveryId, until: i64) -> [Vec<u8>; 3] {
    [PURPOSE.to_vec(), delivery.as_bytes().to_vec(), until.to_be_bytes().to_vec()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_for_its_delivery_and_its_time_alone() {
        let links = AckLinks::new("https://example.com".to_owned(), b"key");
        let (now, id) = (UnixMs::from_millis(1_000), DeliveryId::new(UnixMs::EPOCH));
        let link = links.link(id, now);
        assert_eq!(link, links.link(id, now), "it is the same on every attempt");
        let (until, token) = link.split_once("?until=").unwrap().1.split_once("&token=").unwrap();
        assert!(link.starts_with(&format!("https://example.com/ack/{id}?")));
        assert_eq!(links.check(id, until, token, now), Ok(()));
        assert_eq!(links.check(id, until, token, now.plus(HOLDS)), Ok(()));
        let late = now.plus(HOLDS).plus_millis(1);
        assert!(matches!(links.check(id, until, token, late), Err(AckLinkError::Expired(_))));
        let other = DeliveryId::new(UnixMs::EPOCH);
        let flipped = format!("{}{}", &token[1..], &token[..1]);
        for (id, until, token) in [
            (other, until, token),
            (id, "99999999999", token),
            (id, "soon", token),
            (id, until, ""),
            (id, until, &flipped),
        ] {
            assert_eq!(links.check(id, until, token, now), Err(AckLinkError::Forged));
        }
        let others = AckLinks::new("https://example.com".to_owned(), b"another key");
        assert_eq!(others.check(id, until, token, now), Err(AckLinkError::Forged));
        assert!(!format!("{links:?}").contains("key"));
    }
}
