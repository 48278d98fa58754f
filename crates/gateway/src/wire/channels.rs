//! Chat channels, as answers show them. No credential is ever among what is known here.

use clawhook_model::AnnounceTarget;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::verbs::{ListedAccount, PlaceTested};

/// The accounts by which can be announced.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelList {
    /// The accounts, by channel and name.
    accounts: Vec<ChannelAccountView>,
}

/// One account of a channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChannelAccount)]
pub(crate) struct ChannelAccountView {
    /// The channel.
    #[schema(example = "telegram")]
    channel: String,
    /// The account's name.
    #[schema(example = "default")]
    account_id: String,
    /// Whether it sends where a job names the channel and no account.
    is_default: bool,
    /// The server: scheme, host and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    /// Where a message goes that names no recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

/// Where a test message goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChannelTestRequest {
    /// The channel; it may stand before the recipient instead, as in `telegram:123`.
    channel: Option<String>,
    /// The account; the channel's default one where it is left out.
    account_id: Option<String>,
    /// The recipient; the account's default where it is left out.
    to: Option<String>,
    /// The thread.
    thread_id: Option<String>,
}

/// What came of a test message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChannelTest)]
pub(crate) struct ChannelTestView {
    /// Whether the service took it.
    ok: bool,
    /// Where it went.
    #[schema(value_type = Object)]
    route: Value,
    /// What the attempt brought, as deliveries record it; no credential is shown.
    #[schema(value_type = Object)]
    attempt: Value,
}

impl From<ChannelTestRequest> for AnnounceTarget {
    fn from(request: ChannelTestRequest) -> Self {
        let ChannelTestRequest { channel, account_id, to, thread_id } = request;
        let channel =
            channel.map(|channel| channel.trim().to_lowercase()).filter(|channel| !channel.is_empty());
        Self { channel, to, account_id, thread_id }
    }
}

impl From<Vec<ListedAccount>> for ChannelList {
    fn from(accounts: Vec<ListedAccount>) -> Self {
        let view = |account: ListedAccount| ChannelAccountView {
            channel: account.channel,
            account_id: account.account_id,
            is_default: account.is_default,
            server: account.server,
            to: account.to,
        };
        Self { accounts: accounts.into_iter().map(view).collect() }
    }
}

impl From<PlaceTested> for ChannelTestView {
    fn from(tested: PlaceTested) -> Self {
        Self {
            ok: tested.report.class.is_delivered(),
            route: tested.route.to_json(),
            attempt: json!(tested.report),
        }
    }
}
