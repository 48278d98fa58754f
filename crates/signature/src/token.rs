//! A secret that is sent as it is, such as GitLab's `X-Gitlab-Token`: it proves who sent the request, and says nothing of
//! whether the request is fresh or whole.

use crate::secret::SharedSecret;
use crate::verify_error::VerifyError;

/// The header in which GitLab sends it.
pub const GITLAB_HEADER: &str = "x-gitlab-token";

/// Checks, in constant time, whether `given` is the secret.
pub fn verify(secret: &SharedSecret, given: &str) -> Result<(), VerifyError> {
    // Digests are compared, so that not even the length of the secret shows.
    if secret.has_digest_of(given) { Ok(()) } else { Err(VerifyError::Mismatch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_the_secret() {
        let secret = SharedSecret::parse("a token of GitLab's\n").unwrap();
        assert_eq!(verify(&secret, "a token of GitLab's"), Ok(()));
        for wrong in ["", "a token of GitLab", "a token of GitLab's ", "another token"] {
            assert_eq!(verify(&secret, wrong), Err(VerifyError::Mismatch), "{wrong}");
        }
    }
}
