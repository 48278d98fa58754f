//! How an event gets there: sign, guard, send, classify, retry.
//!
//! The cast: a [`Renderer`] gives the event the shape that its destination takes; a [`Signer`] signs what is sent; the
//! [`Guard`] decides what may be dialled, and is the only thing that does; the [`Transport`] sends one request to it and
//! reports what came of it (to the others it is a [`Carrier`], in whose place a simulation puts its own); a
//! [`RetrySchedule`] says when to try again. [`channels`] are the ways to people: chats, e-mail, ntfy. The
//! [`DeliveryService`] puts them together: it leases what is due from the store, sends it, and settles it. No other code
//! of the house opens a socket to an address that a user or an agent chose (invariant 11).
//!
//! What is not guaranteed: that an event arrives once. It arrives at least once, under the same id on every attempt
//! (invariant 9), and the receiver tells repeats apart by it.

mod acknowledge;
mod backoff;
mod call;
pub mod channels;
mod destination;
mod format;
mod guard;
mod handle;
mod posting;
mod retry_after;
mod sample;
mod saying;
mod scheduler;
mod secrets;
mod service;
mod transport;
mod verdict;

pub use call::CallRefused;
pub use clawhook_model::RetrySchedule;
pub use clawhook_signature as signature;
pub use clawhook_signature::{
    AckLinkError, AckLinks, KeyError, LiveKeys, NoRandomness, PublicKey, Retiring, SecretError, SharedSecret,
    SharedSecretError, SignedHeaders, Signer, SignerError, SigningInput, SigningKeyPair, SigningKeys,
    SigningSecret, VerifyError, sign, verify,
};
pub use destination::{Accounts, Unready};
pub use format::{FormatError, RenderError, RenderInput, Rendered, Renderer, TemplatePart};
pub use guard::{Guard, GuardPolicy, GuardRefusal, VettedAddress};
pub use handle::{DeliveryHandle, NoPingUrl, PingFailed, PingUrl, RenderRefused, TestRefused, TestReport};
pub use secrets::{SecretReader, UnreadableSecret};
pub use service::{DeliveryOptions, DeliveryService, UnsendableToken};
pub use transport::{
    Carrier, ClientIdentity, ConnectionProfile, MailRequest, PostRequest, ProfileError, ProfileOptions,
    Proxy, ProxyError, TlsRoots, Transport, TransportOptions,
};
