//! The keys of a provider.

use std::path::PathBuf;

use clawhook_model::SecretSource;

use super::setting::{ApiName, ModelList};
use super::{ChatApi, PermissionRules};
use crate::config::keys::{Absent, Default, Documented, Key};
use crate::config::secret_map::{Headers, SecretMap, Variables};
use crate::config::setting::{Argument, BaseUrl, ListOf, TextForm};

pub(super) static API: Key<ApiName, Default<ApiName>> = Key {
    path: "models.providers.*.api",
    form: (),
    default: || ApiName::Chat(ChatApi::OpenAiCompletions),
    meaning: "What is spoken with the provider `*`: the API of a model; `acp`, a program that speaks the Agent Client \
              Protocol; or `openclaw-hooks`, another OpenClaw gateway.",
};

pub(super) static BASE_URL: Key<BaseUrl, Absent> = Key {
    path: "models.providers.*.baseUrl",
    form: (),
    default: Absent("the API's own provider; required with `openai-completions` and `openclaw-hooks`"),
    meaning: "Where its API lies, such as `http://127.0.0.1:11434/v1`.",
};

pub(super) static API_KEY: Key<SecretSource, Absent> = Key {
    path: "models.providers.*.apiKey",
    form: (),
    default: Absent("none"),
    meaning: "The key that is presented to it.",
};

pub(super) static HEADERS: Key<SecretMap<Headers>, Absent> = Key {
    path: "models.providers.*.headers",
    form: (),
    default: Absent("none"),
    meaning: "Headers of every request to it.",
};

pub(super) static MODELS: Key<ModelList, Absent> = Key {
    path: "models.providers.*.models",
    form: (),
    default: Absent("any"),
    meaning: "Its models, with what they [cost](#models). Where it is written, a model that is not in it is refused.",
};

pub(super) static COMMAND: Key<String, Absent> = Key {
    path: "models.providers.*.command",
    form: TextForm { most: 4096 },
    default: Absent("required with `acp`"),
    meaning: "The program of an `acp` provider.",
};

pub(super) static ARGS: Key<Vec<Argument>, Default<Vec<Argument>>> = Key {
    path: "models.providers.*.args",
    form: ListOf { least: 0, most: 256, each: () },
    default: Vec::new,
    meaning: "Its arguments.",
};

pub(super) static ENV: Key<SecretMap<Variables>, Absent> = Key {
    path: "models.providers.*.env",
    form: (),
    default: Absent("none"),
    meaning: "Variables that it is given beside those of the gateway.",
};

pub(super) static CWD: Key<PathBuf, Absent> = Key {
    path: "models.providers.*.cwd",
    form: (),
    default: Absent("the workspace itself"),
    meaning: "Where it works: a folder of the agent's workspace.",
};

pub(super) static PERMISSIONS: Key<PermissionRules, Absent> = Key {
    path: "models.providers.*.permissions",
    form: (),
    default: Absent("`\"deny\"`"),
    meaning: "What it may do of what it asks leave for.",
};

pub(super) static MODE: Key<String, Absent> = Key {
    path: "models.providers.*.mode",
    form: TextForm { most: 200 },
    default: Absent("its own"),
    meaning: "The mode it is set to, by the program's own name for it.",
};

pub(super) static AUTH_METHOD: Key<String, Absent> = Key {
    path: "models.providers.*.authMethod",
    form: TextForm { most: 200 },
    default: Absent("none"),
    meaning: "How it signs in where it wants to, by the program's own name for it.",
};

pub(super) static TOKEN: Key<SecretSource, Absent> = Key {
    path: "models.providers.*.token",
    form: (),
    default: Absent("required with `openclaw-hooks`"),
    meaning: "The token of that gateway's hooks.",
};

pub(super) static SESSION_KEY_PREFIX: Key<String, Absent> = Key {
    path: "models.providers.*.sessionKeyPrefix",
    form: TextForm { most: 100 },
    default: Absent("each message begins a session there"),
    meaning: "What the keys of kept sessions begin with over there. That gateway must [allow it](openclaw-gateway.md).",
};

/// All of them, in the order of the documentation.
pub(in crate::config) static ALL: &[&dyn Documented] = &[
    &API,
    &BASE_URL,
    &API_KEY,
    &HEADERS,
    &MODELS,
    &COMMAND,
    &ARGS,
    &ENV,
    &CWD,
    &PERMISSIONS,
    &MODE,
    &AUTH_METHOD,
    &TOKEN,
    &SESSION_KEY_PREFIX,
];
