//! The schemas of what an operator says of a destination. The model reads and writes the JSON itself.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::words::RunStatus;

/// What an operator says of a destination.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DestinationDefinition)]
pub(crate) struct DestinationDefinitionView {
    /// Where requests go. The query's values are shown as `***`, which, written back, keeps them.
    #[schema(example = "https://example.com/hook")]
    url: String,
    /// Headers that each request carries, by their names: at most 32. What the gateway sets itself is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, SecretView>>,
    /// What requests are signed with; the gateway's own keys sign `v1` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing: Option<SigningView>,
    /// The shape of the bodies; `event` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<FormatView>,
    /// When a delivery that failed is tried again; the gateway's rules stand for what is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryView>,
    /// How connections are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<NetworkView>,
    /// How much is sent at once, and how fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsView>,
    /// Which deliveries wait for the one before them to be settled; `none` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<OrderView>,
    /// Whether a success without a text is sent too; false where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    send_empty: Option<bool>,
    /// Which events it is sent beside those that jobs send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions: Option<Vec<SubscriptionView>>,
}

/// A secret: its text, or where it is found. A text is shown as `***`, which, written back, keeps it; `${NAME}` is the
/// same as `{"env": "NAME"}`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Secret)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum SecretView {
    /// The secret itself.
    Written(String),
    /// An environment variable of the gateway.
    Env {
        /// Its name.
        #[schema(example = "OPS_TOKEN")]
        env: String,
    },
    /// The content of a file.
    File {
        /// Its path, absolute or from `~/`.
        #[schema(example = "/run/secrets/ops")]
        file: String,
    },
    /// What a program prints.
    Exec {
        /// The program and its arguments.
        #[schema(min_items = 1, example = json!(["pass", "show", "ops"]))]
        exec: Vec<String>,
    },
}

/// What requests are signed with.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Signing)]
pub(crate) struct SigningView {
    /// The schemes, each once; `v1` alone where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    schemes: Option<Vec<SchemeView>>,
    /// The secret that is shared with the receiver; the gateway's own where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<SecretView>,
    /// The ed25519 private key; the gateway's own where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<SecretView>,
    /// The keys that these have replaced, and that sign beside them for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    retiring: Option<RetiringView>,
}

/// Keys that were replaced.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RetiringKeys)]
pub(crate) struct RetiringView {
    /// The secret before.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<SecretView>,
    /// The private key before.
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<SecretView>,
    /// From this instant on they sign no more.
    until_ms: i64,
}

/// A way to sign a request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SignatureScheme)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum SchemeView {
    /// Standard Webhooks with a shared secret.
    V1,
    /// Standard Webhooks with a private key.
    V1a,
    /// GitHub's `X-Hub-Signature-256`.
    Github,
    /// Stripe's `Stripe-Signature`.
    Stripe,
    /// HTTP Message Signatures.
    Rfc9421,
}

/// The shape of the bodies: the name of a format, or a template.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Format)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum FormatView {
    /// One that is built in.
    Named(FormatName),
    /// One that its owner wrote.
    Template {
        /// The template.
        template: TemplateView,
    },
}

/// A format that is built in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum FormatName {
    /// The event as it is stored.
    Event,
    /// CloudEvents, structured.
    #[serde(rename = "cloudevents")]
    CloudEvents,
    /// CloudEvents, binary.
    #[serde(rename = "cloudevents-binary")]
    CloudEventsBinary,
    /// The envelope of Standard Webhooks.
    StandardWebhooks,
    /// A Slack incoming webhook.
    Slack,
    /// A Discord webhook.
    Discord,
    /// A Microsoft Teams workflow.
    Teams,
    /// An n8n Webhook node.
    N8n,
    /// Zapier's Catch Hook.
    Zapier,
}

/// A body that a destination's owner wrote, in the language of minijinja.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Template)]
pub(crate) struct TemplateView {
    /// The template of the body.
    #[schema(example = "{\"text\": {{ event.summary }}}")]
    body: String,
    /// What the body is declared to be, by which its values are escaped; `application/json` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// The templates of headers, by their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
}

/// When a delivery that failed is tried again. Each is the gateway's own where it is left out.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Retry)]
pub(crate) struct RetryView {
    /// The waits between tries, durations from 1ms to 30d; an empty list means one try and no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50, example = json!(["5s", "5m"]))]
    schedule: Option<Vec<String>>,
    /// How long after its beginning a delivery may still be tried: a duration from 1s to 365d.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "72h")]
    window: Option<String>,
    /// How many tries a receiver may refuse with a 4xx before the delivery is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 50)]
    client_error_tries: Option<u32>,
    /// How much of a receiver's `Retry-After` is heeded: a duration from 0s, which heeds none, to 30d.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "1h")]
    max_retry_after: Option<String>,
}

/// How connections to a destination are made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Network)]
pub(crate) struct NetworkView {
    /// Whether its host may lie in a private network or on this machine, on any port and without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_private: Option<bool>,
    /// Certificates in PEM that are believed beside the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    /// The certificate in PEM that is presented, followed by those that lead to its authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate: Option<String>,
    /// The certificate's private key in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key: Option<SecretView>,
}

/// Events that a destination wants: all of these kinds that fit every list that is given.
#[derive(Serialize, ToSchema)]
#[schema(as = Subscription)]
pub(crate) struct SubscriptionView {
    /// The kinds of events.
    #[schema(min_items = 1, example = json!(["run.finished", "run.missed"]))]
    events: Vec<String>,
    /// Of `run.finished`, only runs that ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    statuses: Option<Vec<RunStatus>>,
    /// Only events of these jobs, by their ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<String>>,
    /// Only events of jobs that run as these agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    agents: Option<Vec<String>>,
}

/// Bounds on what one destination gets.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Limits)]
pub(crate) struct LimitsView {
    /// Requests under way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    max_concurrent: Option<usize>,
    /// Requests a second, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
    /// The time for one request, the answer's body included: a duration from 100ms to 5m.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "15s")]
    timeout: Option<String>,
}

/// Which deliveries wait for the one before them to be settled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Order)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum OrderView {
    /// None: each goes as soon as it can.
    None,
    /// Those of one job.
    Job,
    /// All.
    Destination,
}

/// A new destination.
#[derive(Serialize, ToSchema)]
pub(crate) struct DestinationCreate {
    /// What jobs are to call it: lower-case letters, digits, `-`, `_` and `.`.
    #[schema(example = "ops", max_length = 63)]
    name: String,
    /// The rest is its definition.
    #[serde(flatten)]
    definition: DestinationDefinitionView,
}

/// An edit: what is left out stays, `null` clears. Sections are merged member by member.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DestinationPatch {
    /// Where requests go.
    url: Option<String>,
    /// Headers that each request carries: the changed ones; `null` takes one away.
    #[schema(value_type = Option<Object>)]
    headers: Option<Value>,
    /// What requests are signed with: the changed members. To change a key with an overlap, rotate it instead.
    #[schema(value_type = Option<Object>)]
    signing: Option<Value>,
    /// The shape of the bodies, as a whole.
    format: Option<FormatView>,
    /// When a delivery that failed is tried again: the changed members.
    #[schema(value_type = Option<Object>)]
    retry: Option<Value>,
    /// How connections are made: the changed members.
    #[schema(value_type = Option<Object>)]
    network: Option<Value>,
    /// How much is sent at once, and how fast: the changed members.
    #[schema(value_type = Option<Object>)]
    limits: Option<Value>,
    /// Which deliveries wait for the one before them to be settled.
    order: Option<OrderView>,
    /// Whether a success without a text is sent too.
    send_empty: Option<bool>,
    /// Which events it is sent beside those that jobs send it: all of them.
    subscriptions: Option<Vec<SubscriptionView>>,
}

#[cfg(test)]
mod tests {
    use clawhook_model::{BodyFormat, DestinationDefinition, SignatureScheme};
    use serde_json::json;

    use super::*;
    use crate::wire::jobs::tests::assert_documented;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn full() -> Value {
        json!({
            "url": "https://example.com/",
            "headers": { "authorization": { "env": "OPS_TOKEN" }, "x-team": "ops" },
            "signing": {
                "schemes": ["v1", "v1a"], "secret": "a secret, long enough", "privateKey": { "file": "/key" },
                "retiring": {
                    "secret": { "exec": ["pass", "ops"] }, "privateKey": { "env": "KEY" }, "untilMs": 1,
                },
            },
            "format": { "template": { "body": "{}", "contentType": "text/plain", "headers": { "X-A": "b" } } },
            "retry": { "schedule": ["5s"], "window": "1h", "clientErrorTries": 2, "maxRetryAfter": "1m" },
            "network": { "allowPrivate": true, "ca": PEM, "clientCertificate": PEM, "clientKey": "key" },
            "limits": { "maxConcurrent": 1, "perSecond": 0.5, "timeout": "5s" },
            "order": "job",
            "sendEmpty": true,
            "subscriptions": [
                { "events": ["run.finished"], "statuses": ["error"], "jobs": ["j"], "agents": ["a"] },
            ],
        })
    }

    /// Asserts that the schema of `T` knows the members of `value` and no others.
    fn assert_is_all_of<T: utoipa::PartialSchema>(value: &Value) {
        assert_documented::<T>(value);
        for name in json!(T::schema())["properties"].as_object().unwrap().keys() {
            assert!(value.get(name).is_some(), "no definition has `{name}`");
        }
    }

    #[test]
    fn the_schema_of_a_definition_has_every_member_that_a_definition_can_have_and_no_other() {
        let definition = DestinationDefinition::parse(full()).unwrap().to_json();
        assert_is_all_of::<DestinationDefinitionView>(&definition);
        assert_is_all_of::<DestinationPatch>(&definition);
        assert_is_all_of::<SigningView>(&definition["signing"]);
        assert_is_all_of::<RetiringView>(&definition["signing"]["retiring"]);
        assert_is_all_of::<TemplateView>(&definition["format"]["template"]);
        assert_is_all_of::<RetryView>(&definition["retry"]);
        assert_is_all_of::<NetworkView>(&definition["network"]);
        assert_is_all_of::<LimitsView>(&definition["limits"]);
        assert_is_all_of::<SubscriptionView>(&definition["subscriptions"][0]);
    }

    #[test]
    fn the_words_of_a_definition_are_the_models() {
        let words =
            |schema: Value| -> Vec<String> { serde_json::from_value(schema["enum"].clone()).unwrap() };
        let formats = words(json!(<FormatName as utoipa::PartialSchema>::schema()));
        assert_eq!(formats, BodyFormat::NAMED.map(|format| format.as_str().to_owned()));
        let schemes = words(json!(<SchemeView as utoipa::PartialSchema>::schema()));
        assert_eq!(schemes, SignatureScheme::ALL.map(|scheme| scheme.as_str().to_owned()));
    }
}
