//! A destination made ready to be sent to: everything that does not change from one delivery to the next, made once.

use std::collections::BTreeMap;

use clawhook_model::{
    AnnounceTarget, ClientCertificate, Destination, DestinationDefinition, DestinationName, Halt, HaltReason,
    RetryRules, Route, Routes, SecretSource, SignatureSchemes, SigningSettings, Standing, Target, UnixMs,
    WebhookUrl,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use crate::channels::{Account, Channel, ChannelKind, Place};
use crate::format::Renderer;
use crate::guard::{Guard, GuardRefusal};
use crate::scheduler::{LaneLimits, PROBE_PAUSED_EVERY, Sending};
use crate::secrets::SecretReader;
use crate::service::DeliveryOptions;
use crate::signature::{LiveKeys, Retiring, SharedSecret, Signer, SignerError, SigningKeyPair, SigningKeys};
use crate::transport::{Carrier, ClientIdentity, ConnectionProfile, ProfileOptions};

/// What a delivery needs of its destination.
pub(crate) struct Ready {
    /// What is sent there.
    pub(crate) way: Way,
    /// How connections are made.
    pub(crate) profile: ConnectionProfile,
    /// When a delivery that failed is tried again.
    pub(crate) rules: RetryRules,
    /// When the destination was last resumed: the time before counts for no delivery's window.
    pub(crate) resumed_at: Option<UnixMs>,
}

/// What is sent to a destination.
pub(crate) enum Way {
    /// Signed webhooks.
    Post(Box<Post>),
    /// Messages to people.
    Say(Box<Say>),
}

/// How webhooks are made.
pub(crate) struct Post {
    /// Where requests go.
    pub(crate) url: WebhookUrl,
    /// Headers that are the same on each, with secrets among them.
    pub(crate) headers: HeaderMap,
    /// What makes the body.
    pub(crate) renderer: Renderer,
    /// What signs it.
    pub(crate) signer: Signer,
}

/// How messages are said.
pub(crate) struct Say {
    /// The account, made ready.
    pub(crate) channel: Channel,
    /// The account's name.
    pub(crate) account_id: String,
    /// Where in the channel.
    pub(crate) place: Place,
}

impl Ready {
    /// The account by which people are told there.
    pub(crate) fn account(&self) -> Option<(ChannelKind, &str)> {
        match &self.way {
            Way::Post(_) => None,
            Way::Say(say) => Some((say.channel.kind(), &say.account_id)),
        }
    }
}

/// What the operator configured of channels.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// The accounts, by channel and by name.
    pub accounts: BTreeMap<(String, String), Account>,
    /// Where can be announced by them.
    pub routes: Routes,
}

/// Why a destination cannot be made ready; it is halted with this reason, and what waits is kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct Unready {
    /// The kind of reason.
    pub reason: HaltReason,
    /// The reason in words, without secrets.
    pub detail: String,
}

/// The gateway's own keys and rules, for destinations that bring none.
pub(crate) struct Defaults {
    secret: SharedSecret,
    signing_key: SigningKeyPair,
    authorization: Option<HeaderValue>,
    retry: RetryRules,
}

/// What destinations are made ready with.
pub(crate) struct Workshop<'a> {
    pub(crate) carrier: &'a dyn Carrier,
    pub(crate) secrets: &'a dyn SecretReader,
    pub(crate) defaults: &'a Defaults,
    pub(crate) accounts: &'a Accounts,
}

impl Defaults {
    pub(crate) fn new(options: &DeliveryOptions, authorization: Option<HeaderValue>) -> Self {
        Self {
            secret: SharedSecret::from(&options.signing_secret),
            signing_key: options.signing_key.clone(),
            authorization,
            retry: options.retry.clone(),
        }
    }
}

impl Workshop<'_> {
    /// Makes a destination ready. It may take a while: secrets are read, from programs among others.
    pub(crate) async fn prepare(&self, destination: &Destination) -> Result<Ready, Unready> {
        match (&destination.definition, &destination.target) {
            (Some(definition), Target::Destination(name)) => {
                self.defined(definition, name, destination.resumed_at).await
            }
            (_, Target::Webhook(url)) => self.implicit(url, destination.resumed_at),
            (_, Target::Announce(target)) => self.announce(target, destination.resumed_at).await,
            (_, other) => {
                Err(Unready::definition(format!("`{}` is nothing that can be posted to", other.shown())))
            }
        }
    }

    /// A place in a channel, by the account that its route names. The credential is read afresh each time.
    pub(crate) async fn announce(
        &self,
        target: &AnnounceTarget,
        resumed_at: Option<UnixMs>,
    ) -> Result<Ready, Unready> {
        // What a job's result goes to was resolved when its run ended; alerts and rungs name places as people do.
        let route = match Route::last(target) {
            Some(route) => route,
            None => self
                .accounts
                .routes
                .resolve(target, None)
                .map_err(|error| Unready::definition(format!("{error}; {}", error.hint())))?,
        };
        let Route { channel, account_id, to, thread_id, .. } = &route;
        let account =
            self.accounts.accounts.get(&(channel.clone(), account_id.clone())).ok_or_else(|| {
                Unready::definition(format!(
                    "the account `{account_id}` of `{channel}` is configured no more"
                ))
            })?;
        let credential = match &account.credential {
            None => None,
            Some(source) => {
                let read = self.secrets.read(source, &format!("channels/{channel}/{account_id}")).await;
                Some(read.map_err(|error| Unready {
                    reason: HaltReason::Secret,
                    detail: format!("the credential of `{channel}` (account `{account_id}`): {error}"),
                })?)
            }
        };
        let options = ProfileOptions { allow_private: account.allow_private, ..ProfileOptions::default() };
        let profile = self.carrier.profile(options).await;
        let profile = profile.map_err(|error| Unready::definition(error.to_string()))?;
        let channel = Channel::open(account, credential.as_ref(), profile.clone())
            .map_err(|error| Unready::definition(format!("`channels.{channel}`: {error}")))?;
        let place = Place { to: to.clone(), thread: thread_id.clone() };
        channel.kind().check_place(&place).map_err(|error| Unready::definition(error.to_string()))?;
        Ok(Ready {
            way: Way::Say(Box::new(Say { channel, account_id: account_id.clone(), place })),
            profile,
            rules: self.defaults.retry.clone(),
            resumed_at,
        })
    }

    /// A URL that a job named: everything as the gateway has it, and the gateway's own token.
    pub(crate) fn implicit(&self, url: &WebhookUrl, resumed_at: Option<UnixMs>) -> Result<Ready, Unready> {
        let keys = self.keys(None, None);
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &self.defaults.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let signer = Signer::new(&SignatureSchemes::default(), &keys)?;
        let post = Post { url: url.clone(), headers, renderer: Renderer::default(), signer };
        Ok(Ready {
            way: Way::Post(Box::new(post)),
            profile: ConnectionProfile::default(),
            rules: self.defaults.retry.clone(),
            resumed_at,
        })
    }

    /// A destination that its operator defined under this name.
    pub(crate) async fn defined(
        &self,
        definition: &DestinationDefinition,
        name: &DestinationName,
        resumed_at: Option<UnixMs>,
    ) -> Result<Ready, Unready> {
        let keys = self.own_keys(&definition.signing, name).await?;
        let profile = self.profile(definition, name).await?;
        let post = Post {
            url: definition.url.clone(),
            headers: self.headers(definition, name).await?,
            renderer: Renderer::new(&definition.format)
                .map_err(|error| Unready::definition(format!("`format`: {error}")))?,
            signer: Signer::new(&definition.signing.schemes, &keys)?,
        };
        Ok(Ready {
            way: Way::Post(Box::new(post)),
            profile,
            rules: definition.retry.rules(&self.defaults.retry),
            resumed_at,
        })
    }

    /// The public half of a definition's own private key.
    pub(crate) async fn public_key(
        &self,
        definition: &DestinationDefinition,
        name: &DestinationName,
    ) -> Option<String> {
        let source = definition.signing.private_key.as_ref();
        let pair = self.private_key(source, name).await.ok()??;
        Some(pair.public_text())
    }

    async fn headers(
        &self,
        definition: &DestinationDefinition,
        name: &DestinationName,
    ) -> Result<HeaderMap, Unready> {
        let mut headers = HeaderMap::with_capacity(definition.headers.len());
        for (header, source) in &definition.headers {
            let field = format!("headers.{header}");
            let text = self.read(source, name, &field).await?;
            let unsendable = || Unready::definition(format!("`{field}` holds what no header may have"));
            let header = HeaderName::try_from(header.as_str()).map_err(|_| unsendable())?;
            let mut value = HeaderValue::try_from(text.expose_secret().trim()).map_err(|_| unsendable())?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        Ok(headers)
    }

    async fn profile(
        &self,
        definition: &DestinationDefinition,
        name: &DestinationName,
    ) -> Result<ConnectionProfile, Unready> {
        let network = &definition.network;
        let client = match &network.client {
            None => None,
            Some(ClientCertificate { certificate, key }) => Some(ClientIdentity {
                certificate: certificate.clone(),
                key: self.read(key, name, "network.clientKey").await?,
            }),
        };
        let options = ProfileOptions {
            allow_private: network.allow_private,
            extra_roots: network.ca.clone(),
            client,
            total_timeout: definition.limits.timeout,
        };
        let profile = self.carrier.profile(options).await;
        profile.map_err(|error| Unready::definition(error.to_string()))
    }

    async fn own_keys(
        &self,
        signing: &SigningSettings,
        name: &DestinationName,
    ) -> Result<SigningKeys, Unready> {
        let secret = self.secret(signing.secret.as_ref(), name).await?;
        let private_key = self.private_key(signing.private_key.as_ref(), name).await?;
        let mut keys = self.keys(secret, private_key);
        let Some(retiring) = &signing.retiring else { return Ok(keys) };
        let until = retiring.until;
        if let (Some(keys), Some(key)) =
            (&mut keys.secret, self.secret(retiring.secret.as_ref(), name).await?)
        {
            keys.retiring = Some(Retiring { key, until });
        }
        let before = self.private_key(retiring.private_key.as_ref(), name).await?;
        if let (Some(keys), Some(key)) = (&mut keys.private_key, before) {
            keys.retiring = Some(Retiring { key, until });
        }
        Ok(keys)
    }

    /// These keys, and the gateway's own where there are none.
    fn keys(&self, secret: Option<SharedSecret>, private_key: Option<SigningKeyPair>) -> SigningKeys {
        let secret = secret.unwrap_or_else(|| self.defaults.secret.clone());
        let private_key = private_key.unwrap_or_else(|| self.defaults.signing_key.clone());
        SigningKeys { secret: Some(LiveKeys::only(secret)), private_key: Some(LiveKeys::only(private_key)) }
    }

    async fn secret(
        &self,
        source: Option<&SecretSource>,
        name: &DestinationName,
    ) -> Result<Option<SharedSecret>, Unready> {
        let Some(source) = source else { return Ok(None) };
        let text = self.read(source, name, "signing.secret").await?;
        let parsed = SharedSecret::parse(text.expose_secret());
        parsed.map(Some).map_err(|error| Unready::definition(format!("`signing.secret`: {error}")))
    }

    async fn private_key(
        &self,
        source: Option<&SecretSource>,
        name: &DestinationName,
    ) -> Result<Option<SigningKeyPair>, Unready> {
        let Some(source) = source else { return Ok(None) };
        let text = self.read(source, name, "signing.privateKey").await?;
        let parsed = SigningKeyPair::parse(text.expose_secret());
        parsed.map(Some).map_err(|error| Unready::definition(format!("`signing.privateKey`: {error}")))
    }

    async fn read(
        &self,
        source: &SecretSource,
        name: &DestinationName,
        field: &str,
    ) -> Result<SecretString, Unready> {
        let read = self.secrets.read(source, &name.secret_context(field)).await;
        read.map_err(|error| Unready { reason: HaltReason::Secret, detail: format!("`{field}`: {error}") })
    }
}

impl Unready {
    fn definition(detail: String) -> Self {
        Self { reason: HaltReason::Definition, detail }
    }

    pub(crate) fn into_halt(self, now: UnixMs) -> Halt {
        Halt { reason: self.reason, detail: self.detail, since: now }
    }
}

impl From<SignerError> for Unready {
    fn from(error: SignerError) -> Self {
        Self::definition(format!("`signing`: {error}"))
    }
}

impl Guard {
    /// What can be said of where a destination lies without asking DNS, when it is defined.
    pub fn check_destination(&self, definition: &DestinationDefinition) -> Result<(), GuardRefusal> {
        if definition.network.allow_private {
            return self.reaching_private().check_url(&definition.url);
        }
        self.check_url(&definition.url)
    }
}

/// How much of what the destination asks for the gateway grants.
pub(crate) fn lane_limits(destination: &Destination, options: &DeliveryOptions) -> LaneLimits {
    let limits = destination.definition.as_ref().map(|definition| &definition.limits);
    let asked = limits.and_then(|limits| limits.max_concurrent);
    if let Target::Announce(target) = &destination.target {
        let kind: Option<ChannelKind> = target.channel.as_deref().and_then(|channel| channel.parse().ok());
        let pace = kind.map(ChannelKind::pace).filter(|pace| !pace.is_zero());
        // People read what is said in the order in which it is said.
        return LaneLimits { max_concurrent: 1, per_second: pace.map(|pace| 1.0 / pace.as_secs_f64()) };
    }
    LaneLimits {
        max_concurrent: asked.unwrap_or(options.max_concurrent_per_destination).min(options.max_concurrent),
        per_second: limits.and_then(|limits| limits.per_second),
    }
}

/// Whether a destination that is ready is sent to.
pub(crate) fn sending(standing: &Standing) -> Sending {
    match standing {
        Standing::Active => Sending::Yes,
        Standing::Paused(Halt { reason: HaltReason::Failing, since, .. }) => {
            Sending::Probe { every: PROBE_PAUSED_EVERY, next_at: since.plus(PROBE_PAUSED_EVERY) }
        }
        Standing::Paused(_) | Standing::Disabled(_) => Sending::No,
    }
}

/// Whether the destination was halted for a reason that is gone once it can be made ready.
pub(crate) fn heals_when_ready(standing: &Standing) -> bool {
    matches!(standing, Standing::Paused(Halt { reason: HaltReason::Secret | HaltReason::Definition, .. }))
}
