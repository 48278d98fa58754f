//! What a destination's requests are signed with.

use serde_json::{Map, Value, json};

use super::signing::{SchemesError, SignatureSchemes};
use crate::definition_error::DefinitionError;
use crate::fields::Fields;
use crate::secret::SecretSource;
use crate::time::UnixMs;

/// The field of the shared secret, which is also what its seal is bound to.
pub(super) const SECRET: &str = "signing.secret";
/// The field of the private key, which is also what its seal is bound to.
pub(super) const PRIVATE_KEY: &str = "signing.privateKey";

/// By which schemes, and with which keys. A key that is absent is the gateway's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigningSettings {
    /// The schemes.
    pub schemes: SignatureSchemes,
    /// The secret that is shared with the receiver.
    pub secret: Option<SecretSource>,
    /// The ed25519 private key.
    pub private_key: Option<SecretSource>,
    /// The keys that these have replaced, and that go on signing for a while.
    pub retiring: Option<RetiringKeys>,
}

/// Keys that were replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiringKeys {
    /// The secret before.
    pub secret: Option<SecretSource>,
    /// The private key before.
    pub private_key: Option<SecretSource>,
    /// From this instant on they sign no more.
    pub until: UnixMs,
}

/// How the source of a secret is read: as a user writes it, or as the store keeps it.
pub(super) type ReadSecret = fn(&str, &Value) -> Result<SecretSource, DefinitionError>;

impl SigningSettings {
    pub(super) fn read(value: Value, secret: ReadSecret) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("signing", value)?;
        let schemes = fields.value("schemes").map(|given| SignatureSchemes::parse(&given)).transpose();
        let settings = Self {
            schemes: schemes.map_err(|error| refused(&error))?.unwrap_or_default(),
            secret: fields.value("secret").map(|given| secret(SECRET, &given)).transpose()?,
            private_key: fields.value("privateKey").map(|given| secret(PRIVATE_KEY, &given)).transpose()?,
            retiring: fields.value("retiring").map(|given| RetiringKeys::read(given, secret)).transpose()?,
        };
        fields.close(&[])?;
        Ok(settings)
    }

    /// The settings with another secret, and the one before going on until then.
    #[must_use]
    pub fn with_secret(self, secret: SecretSource, before: Option<SecretSource>, until: UnixMs) -> Self {
        let private_key = self.retiring.and_then(|retiring| retiring.private_key);
        let retiring = Some(RetiringKeys { secret: before, private_key, until });
        Self { secret: Some(secret), retiring, ..Self { retiring: None, ..self } }
    }

    /// The settings with another private key, and the one before going on until then.
    #[must_use]
    pub fn with_private_key(self, key: SecretSource, before: Option<SecretSource>, until: UnixMs) -> Self {
        let secret = self.retiring.and_then(|retiring| retiring.secret);
        let retiring = Some(RetiringKeys { secret, private_key: before, until });
        Self { private_key: Some(key), retiring, ..Self { retiring: None, ..self } }
    }

    pub(super) fn to_json(&self, shown: fn(&SecretSource) -> Value) -> Value {
        let mut out = Map::new();
        if self.schemes != SignatureSchemes::default() {
            out.insert("schemes".to_owned(), json!(self.schemes));
        }
        keys_json(&mut out, self.secret.as_ref(), self.private_key.as_ref(), shown);
        if let Some(retiring) = &self.retiring {
            let mut member = Map::new();
            keys_json(&mut member, retiring.secret.as_ref(), retiring.private_key.as_ref(), shown);
            member.insert("untilMs".to_owned(), json!(retiring.until));
            out.insert("retiring".to_owned(), Value::Object(member));
        }
        Value::Object(out)
    }

    pub(super) fn try_map_secrets<E>(
        self,
        map: &mut impl FnMut(&str, SecretSource) -> Result<SecretSource, E>,
    ) -> Result<Self, E> {
        let retiring = match self.retiring {
            None => None,
            Some(retiring) => Some(RetiringKeys {
                secret: retiring.secret.map(|secret| map(SECRET, secret)).transpose()?,
                private_key: retiring.private_key.map(|key| map(PRIVATE_KEY, key)).transpose()?,
                until: retiring.until,
            }),
        };
        Ok(Self {
            schemes: self.schemes,
            secret: self.secret.map(|secret| map(SECRET, secret)).transpose()?,
            private_key: self.private_key.map(|key| map(PRIVATE_KEY, key)).transpose()?,
            retiring,
        })
    }
}

impl RetiringKeys {
    fn read(value: Value, secret: ReadSecret) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("signing.retiring", value)?;
        let keys = Self {
            secret: fields
                .value("secret")
                .map(|given| secret("signing.retiring.secret", &given))
                .transpose()?,
            private_key: fields
                .value("privateKey")
                .map(|given| secret("signing.retiring.privateKey", &given))
                .transpose()?,
            until: match fields.count("untilMs")? {
                Some(ms) => UnixMs::from_millis(i64::try_from(ms).unwrap_or(i64::MAX)),
                None => {
                    return Err(DefinitionError::Missing { field: "signing.retiring.untilMs".to_owned() });
                }
            },
        };
        fields.close(&[])?;
        Ok(keys)
    }
}

fn keys_json(
    out: &mut Map<String, Value>,
    secret: Option<&SecretSource>,
    private_key: Option<&SecretSource>,
    shown: fn(&SecretSource) -> Value,
) {
    for (name, source) in [("secret", secret), ("privateKey", private_key)] {
        if let Some(source) = source {
            out.insert(name.to_owned(), shown(source));
        }
    }
}

fn refused(error: &SchemesError) -> DefinitionError {
    DefinitionError::invalid("signing.schemes", format!("{error}; {}", error.hint()))
}
