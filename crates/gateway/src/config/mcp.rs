//! Where the tools of agents come from: `mcp.servers.<name>`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clawhook_model::SecretText;
use url::Url;

use super::block::{Block, Written, shorten};
use super::keys::{Absent, Default, Documented, Key};
use super::problem::Findings;
use super::resolve::Resolver;
use super::secret_map::{Headers, SecretMap, Variables};
use super::setting::{Argument, BaseUrl, Bounds, ListOf, TextForm};

/// `mcp`.
#[derive(Debug, Clone, Default)]
pub struct McpConfig {
    /// The servers by name.
    pub servers: BTreeMap<String, McpServerConfig>,
    /// The names of those that are written, whether or not they are well.
    written: Vec<String>,
}

/// One server of tools.
#[derive(Debug, Clone)]
pub struct McpServerConfig {
    /// How it is reached.
    pub transport: McpTransport,
    /// How long it may take to be ready.
    pub startup_timeout: Duration,
}

/// How a server of tools is reached.
#[derive(Debug, Clone)]
pub enum McpTransport {
    /// A program that speaks over its standard input and output, started anew for each turn.
    Program {
        /// The program and its arguments.
        argv: Vec<String>,
        /// Variables set over the gateway's environment.
        env: BTreeMap<String, SecretText>,
        /// Where it works, seen from the agent's workspace; none is the workspace itself.
        cwd: Option<PathBuf>,
    },
    /// A streamable HTTP endpoint.
    Http {
        /// Where it is.
        url: Url,
        /// Headers of every request.
        headers: BTreeMap<String, SecretText>,
    },
}

impl McpConfig {
    /// The names of all servers that are written.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.written.iter().map(String::as_str)
    }
}

static COMMAND: Key<String, Absent> = Key {
    path: "mcp.servers.*.command",
    form: TextForm { most: 4096 },
    default: Absent("this or `url` is required"),
    meaning: "The program of the server `*`, which is started for each turn that may use its tools.",
};

static ARGS: Key<Vec<Argument>, Default<Vec<Argument>>> = Key {
    path: "mcp.servers.*.args",
    form: ListOf { least: 0, most: 256, each: () },
    default: Vec::new,
    meaning: "Its arguments.",
};

static ENV: Key<SecretMap<Variables>, Absent> = Key {
    path: "mcp.servers.*.env",
    form: (),
    default: Absent("none"),
    meaning: "Variables that it is given beside those of the gateway.",
};

static CWD: Key<PathBuf, Absent> = Key {
    path: "mcp.servers.*.cwd",
    form: (),
    default: Absent("the workspace itself"),
    meaning: "Where it works; a relative path starts in the agent's workspace.",
};

static URL: Key<BaseUrl, Absent> = Key {
    path: "mcp.servers.*.url",
    form: (),
    default: Absent("this or `command` is required"),
    meaning: "Where the server `*` is, which speaks streamable HTTP.",
};

static HEADERS: Key<SecretMap<Headers>, Absent> = Key {
    path: "mcp.servers.*.headers",
    form: (),
    default: Absent("none"),
    meaning: "Headers of every request to it.",
};

static STARTUP_TIMEOUT: Key<Duration, Default<Duration>> = Key {
    path: "mcp.servers.*.startupTimeout",
    form: Bounds { least: Duration::from_millis(100), most: Duration::from_mins(10) },
    default: || Duration::from_secs(30),
    meaning: "How long it may take to be ready.",
};

/// All of them, in the order of the documentation.
pub(super) static ALL: &[&dyn Documented] = &[&COMMAND, &ARGS, &ENV, &CWD, &URL, &HEADERS, &STARTUP_TIMEOUT];

/// One of `mcp.servers` as it was written.
pub(super) struct RawServer {
    name: Written<String>,
    command: Option<Written<String>>,
    args: Option<Written<Vec<Argument>>>,
    env: Option<Written<SecretMap<Variables>>>,
    cwd: Option<Written<PathBuf>>,
    url: Option<Written<BaseUrl>>,
    headers: Option<Written<SecretMap<Headers>>>,
    startup_timeout: Option<Written<Duration>>,
}

/// Reads `mcp`.
pub(super) fn read(mut mcp: Block<'_>, findings: &mut Findings) -> Vec<RawServer> {
    let mut servers = Vec::new();
    for (name, mut entry) in mcp.entries("servers", findings) {
        servers.push(RawServer {
            name,
            command: entry.key(&COMMAND, findings),
            args: entry.key(&ARGS, findings),
            env: entry.key(&ENV, findings),
            cwd: entry.key(&CWD, findings),
            url: entry.key(&URL, findings),
            headers: entry.key(&HEADERS, findings),
            startup_timeout: entry.key(&STARTUP_TIMEOUT, findings),
        });
        entry.finish(findings);
    }
    mcp.finish(findings);
    servers
}

impl Resolver<'_, '_> {
    /// The servers; one that is not well is left out, and its problems are told.
    pub(super) fn mcp(&mut self, raw: Vec<RawServer>) -> McpConfig {
        let mut config = McpConfig::default();
        for mut server in raw {
            let name = server.name.value.clone();
            self.server_name(&server.name);
            let startup_timeout = STARTUP_TIMEOUT.or_default(server.startup_timeout.take());
            if let Some(transport) = self.transport(server) {
                config.servers.insert(name.clone(), McpServerConfig { transport, startup_timeout });
            }
            config.written.push(name);
        }
        config
    }

    fn server_name(&mut self, name: &Written<String>) {
        const LONGEST: usize = 32;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let text = &name.value;
        let is_fit = (1..=LONGEST).contains(&text.len()) && text.bytes().all(fits) && !text.contains("__");
        if !is_fit {
            let message = format!("`{}` cannot be the name of a server", shorten(text));
            let hint = format!(
                "a name has 1 to {LONGEST} lower-case letters, digits, `-` or `_`, and no `__`, which ends it in \
                 `server__tool`"
            );
            self.findings.report(Some(name.at), message, Some(hint));
        }
    }

    fn transport(&mut self, raw: RawServer) -> Option<McpTransport> {
        let path = format!("mcp.servers.{}", shorten(&raw.name.value));
        let useless = match (&raw.command, &raw.url) {
            (Some(_), Some(url)) => {
                let message = format!("`{path}` has `command` and `url`");
                self.findings.report(Some(url.at), message, Some("take one of the two out".to_owned()));
                return None;
            }
            (None, None) => {
                let message = format!("`{path}` has neither `command` nor `url`");
                let hint = "give the program that is started, or the address of the server";
                self.findings.report(Some(raw.name.at), message, Some(hint.to_owned()));
                return None;
            }
            (Some(_), None) => vec![("headers", raw.headers.as_ref().map(|written| written.at))],
            (None, Some(_)) => vec![
                ("args", raw.args.as_ref().map(|written| written.at)),
                ("env", raw.env.as_ref().map(|written| written.at)),
                ("cwd", raw.cwd.as_ref().map(|written| written.at)),
            ],
        };
        for (key, at) in useless.into_iter().filter(|(_, at)| at.is_some()) {
            let kind = if raw.url.is_some() { "url" } else { "command" };
            self.findings.report(at, format!("`{path}.{key}` is of no use beside `{kind}`"), None);
        }
        if let Some(url) = raw.url {
            let headers = self.secrets(&format!("{path}.headers"), raw.headers);
            return Some(McpTransport::Http { url: url.value.0, headers });
        }
        let mut argv = vec![raw.command?.value];
        argv.extend(raw.args.into_iter().flat_map(|args| args.value).map(|argument| argument.0));
        let env = self.secrets(&format!("{path}.env"), raw.env);
        let cwd = raw.cwd.map(|cwd| self.environment.locate_within(&cwd.value));
        Some(McpTransport::Program { argv, env, cwd })
    }
}
