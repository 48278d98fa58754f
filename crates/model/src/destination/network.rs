//! How a destination is reached: who is believed there, who we are to it, and whether it may lie inside.

use serde_json::{Map, Value, json};

use super::keys::ReadSecret;
use crate::definition_error::DefinitionError;
use crate::fields::Fields;
use crate::secret::SecretSource;

/// How connections to a destination are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Whether its host may lie in a private network or on this machine, and be spoken to without TLS.
    pub allow_private: bool,
    /// Certificates in PEM that are believed beside the system's.
    pub ca: Option<String>,
    /// Who the gateway is to it.
    pub client: Option<ClientCertificate>,
}

/// A certificate that the gateway presents, with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate in PEM, followed by those that lead to its authority.
    pub certificate: String,
    /// Its private key in PEM.
    pub key: SecretSource,
}

/// The field of the client certificate's key, which is also what its seal is bound to.
pub(super) const CLIENT_KEY: &str = "network.clientKey";

const NAMES: [&str; 4] = ["allowPrivate", "ca", "clientCertificate", "clientKey"];

impl NetworkSettings {
    pub(super) fn read(value: Value, secret: ReadSecret) -> Result<Self, DefinitionError> {
        let [allow_private, ca, certificate, key] = NAMES;
        let mut fields = Fields::open("network", value)?;
        let settings = Self {
            allow_private: fields.flag(allow_private)?.unwrap_or(false),
            ca: certificates(&mut fields, ca)?,
            client: match (certificates(&mut fields, certificate)?, fields.value(key)) {
                (None, None) => None,
                (Some(certificate), Some(given)) => {
                    Some(ClientCertificate { certificate, key: secret(&fields.name(key), &given)? })
                }
                (Some(_), None) => return Err(DefinitionError::Missing { field: fields.name(key) }),
                (None, Some(_)) => return Err(DefinitionError::Missing { field: fields.name(certificate) }),
            },
        };
        fields.close(&[])?;
        Ok(settings)
    }

    pub(super) fn to_json(&self, secret: fn(&SecretSource) -> Value) -> Value {
        let [allow_private, ca, certificate, key] = NAMES;
        let mut out = Map::new();
        if self.allow_private {
            out.insert(allow_private.to_owned(), json!(true));
        }
        if let Some(given) = &self.ca {
            out.insert(ca.to_owned(), json!(given));
        }
        if let Some(client) = &self.client {
            out.insert(certificate.to_owned(), json!(client.certificate));
            out.insert(key.to_owned(), secret(&client.key));
        }
        Value::Object(out)
    }
}

/// Takes certificates in PEM. What they say is found out when the destination is made ready.
fn certificates(fields: &mut Fields, key: &'static str) -> Result<Option<String>, DefinitionError> {
    let wrong = |fields: &Fields, why: &str| Err(DefinitionError::invalid(fields.name(key), why));
    match fields.value(key) {
        None => Ok(None),
        // What stands here is shown, so a key must not slip in.
        Some(Value::String(text)) if text.contains("PRIVATE KEY-----") => {
            wrong(fields, "holds a private key, which belongs in `network.clientKey`")
        }
        Some(Value::String(text)) if text.contains("-----BEGIN CERTIFICATE-----") => Ok(Some(text)),
        Some(_) => wrong(fields, "must be a text in PEM, with `-----BEGIN CERTIFICATE-----` in it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn parse(given: Value) -> Result<NetworkSettings, DefinitionError> {
        NetworkSettings::read(given, SecretSource::parse)
    }

    #[test]
    fn what_was_read_is_written_as_it_was_and_the_key_is_hidden() {
        let given =
            json!({ "allowPrivate": true, "ca": PEM, "clientCertificate": PEM, "clientKey": "s3cret" });
        let settings = parse(given.clone()).unwrap();
        assert_eq!(settings.to_json(SecretSource::to_stored_json), given);
        assert_eq!(settings.to_json(SecretSource::to_json_masked)["clientKey"], "***");
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert_eq!(parse(json!({})).unwrap(), NetworkSettings::default());
        assert_eq!(NetworkSettings::default().to_json(SecretSource::to_stored_json), json!({}));
        let sealed = json!({ "clientCertificate": PEM, "clientKey": { "sealed": "v1.x" } });
        let stored = NetworkSettings::read(sealed.clone(), SecretSource::parse_stored).unwrap();
        assert_eq!(stored.to_json(SecretSource::to_stored_json), sealed);
        assert!(parse(sealed).is_err());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_name() {
        for (given, told) in [
            (json!({ "clientCertificate": PEM }), "`network.clientKey` is required"),
            (json!({ "clientKey": "k" }), "`network.clientCertificate` is required"),
            (json!({ "ca": "/etc/ca.pem" }), "`network.ca`: must be a text in PEM"),
            (json!({ "ca": 5 }), "`network.ca`: must be a text in PEM"),
            (
                json!({ "clientCertificate": "-----BEGIN PRIVATE KEY-----\ns3cret" }),
                "`network.clientCertificate`: holds a private key",
            ),
            (json!({ "allowprivate": true }), "unknown field `network.allowprivate`"),
            (json!([]), "`network` must be an object"),
        ] {
            let error = parse(given).unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains("s3cret"), "{error}");
        }
    }
}
