//! Which program an ACP agent is, and what it may do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use agent_client_protocol_schema::v1::ToolKind;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

/// A program that speaks the Agent Client Protocol over its standard input and output.
#[derive(Clone, Default)]
pub struct AcpOptions {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables set over the gateway's environment. Their values are never shown.
    pub env: BTreeMap<String, SecretString>,
    /// Where it works: a folder of the agent's workspace; none is the workspace itself.
    pub cwd: Option<PathBuf>,
    /// What it may do.
    pub permissions: AcpPermissions,
    /// The model it is set to where a job names `default`; none leaves its own.
    pub model: Option<String>,
    /// The mode it is set to. Where none is given, and not everything is allowed, it is one in which the agent asks before
    /// it acts, if it has one that is known for that.
    pub mode: Option<String>,
    /// How it signs in, where it wants to: the id of one of the methods it offers.
    pub auth_method: Option<String>,
}

impl AcpOptions {
    /// The values of its variables, for hiding them.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        // Shorter values are words like `true`; to hide them would hide no secret and garble the text.
        self.env.values().map(ExposeSecret::expose_secret).filter(|value| value.len() >= 6)
    }

    /// The variables, to be handed to the program.
    pub(super) fn exposed_env(&self) -> BTreeMap<String, String> {
        self.env.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
    }

    /// The program's name, for messages.
    pub(super) fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }
}

impl fmt::Debug for AcpOptions {
    /// The arguments can hold a key, so the program stands alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcpOptions")
            .field("program", &self.program())
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("cwd", &self.cwd)
            .field("permissions", &self.permissions)
            .field("model", &self.model)
            .field("mode", &self.mode)
            .field("auth_method", &self.auth_method)
            .finish_non_exhaustive()
    }
}

/// How an agent is answered when it asks for leave to do something: `deny` is stronger than `allow`, and both are
/// stronger than the rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AcpPermissions {
    /// What holds where the lists say nothing.
    pub rule: AcpRule,
    /// What is allowed.
    pub allow: Vec<AcpToolKind>,
    /// What is refused.
    pub deny: Vec<AcpToolKind>,
}

/// What an agent may do where nothing else is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AcpRule {
    /// Nothing that it must ask for.
    #[default]
    Deny,
    /// To look: reading, searching, thinking. Not fetching, which can carry things out.
    AllowReads,
    /// Everything.
    AllowAll,
}

/// What a tool of an agent does, in the words of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AcpToolKind {
    /// Reading files or data.
    Read,
    /// Changing files.
    Edit,
    /// Removing files.
    Delete,
    /// Moving or renaming files.
    Move,
    /// Searching.
    Search,
    /// Running commands or code.
    Execute,
    /// Thinking or planning.
    Think,
    /// Getting data from elsewhere.
    Fetch,
    /// Changing the mode in which the agent works.
    SwitchMode,
    /// Anything else.
    Other,
}

/// A text names nothing that a tool could do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no kind of tool: expected read, edit, delete, move, search, execute, think, fetch, switch_mode or other"
)]
pub struct AcpToolKindError(pub String);

/// A text is no rule for permissions.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no rule for permissions: expected deny, allowReads or allowAll")]
pub struct AcpRuleError(pub String);

impl AcpToolKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Edit,
        Self::Delete,
        Self::Move,
        Self::Search,
        Self::Execute,
        Self::Think,
        Self::Fetch,
        Self::SwitchMode,
        Self::Other,
    ];

    /// The protocol's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Move => "move",
            Self::Search => "search",
            Self::Execute => "execute",
            Self::Think => "think",
            Self::Fetch => "fetch",
            Self::SwitchMode => "switch_mode",
            Self::Other => "other",
        }
    }
}

impl From<ToolKind> for AcpToolKind {
    fn from(kind: ToolKind) -> Self {
        match kind {
            ToolKind::Read => Self::Read,
            ToolKind::Edit => Self::Edit,
            ToolKind::Delete => Self::Delete,
            ToolKind::Move => Self::Move,
            ToolKind::Search => Self::Search,
            ToolKind::Execute => Self::Execute,
            ToolKind::Think => Self::Think,
            ToolKind::Fetch => Self::Fetch,
            ToolKind::SwitchMode => Self::SwitchMode,
            _ => Self::Other,
        }
    }
}

impl FromStr for AcpToolKind {
    type Err = AcpToolKindError;

    fn from_str(text: &str) -> Result<Self, AcpToolKindError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text.trim());
        kind.ok_or_else(|| AcpToolKindError(text.to_owned()))
    }
}

impl FromStr for AcpRule {
    type Err = AcpRuleError;

    fn from_str(text: &str) -> Result<Self, AcpRuleError> {
        match text.trim() {
            "deny" => Ok(Self::Deny),
            "allowReads" => Ok(Self::AllowReads),
            "allowAll" => Ok(Self::AllowAll),
            _ => Err(AcpRuleError(text.to_owned())),
        }
    }
}

impl AcpPermissions {
    /// Whether something of this kind may be done.
    pub fn allows(&self, kind: AcpToolKind) -> bool {
        if self.deny.contains(&kind) {
            return false;
        }
        self.allow.contains(&kind)
            || match self.rule {
                AcpRule::Deny => false,
                AcpRule::AllowReads => {
                    matches!(kind, AcpToolKind::Read | AcpToolKind::Search | AcpToolKind::Think)
                }
                AcpRule::AllowAll => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_stronger_than_a_leave_and_a_leave_stronger_than_the_rule() {
        let permissions = AcpPermissions {
            rule: AcpRule::AllowReads,
            allow: vec![AcpToolKind::Edit, AcpToolKind::Search],
            deny: vec![AcpToolKind::Search],
        };
        let allowed: Vec<_> = AcpToolKind::ALL.into_iter().filter(|kind| permissions.allows(*kind)).collect();
        assert_eq!(allowed, [AcpToolKind::Read, AcpToolKind::Edit, AcpToolKind::Think]);
        assert!(!AcpToolKind::ALL.into_iter().any(|kind| AcpPermissions::default().allows(kind)));
    }

    #[test]
    fn every_kind_and_every_rule_has_a_name_that_is_read_back() {
        for kind in AcpToolKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("allowReads".parse(), Ok(AcpRule::AllowReads));
        assert!("yolo".parse::<AcpRule>().unwrap_err().to_string().contains("`yolo`"));
        assert!("write".parse::<AcpToolKind>().unwrap_err().to_string().contains("`write`"));
    }

    #[test]
    fn i12_debug_shows_no_value_of_a_variable_and_no_argument() {
        let options = AcpOptions {
            argv: vec!["qwen".to_owned(), "--key=s3cret".to_owned()],
            env: BTreeMap::from([("KEY".to_owned(), SecretString::from("s3cret"))]),
            ..AcpOptions::default()
        };
        let shown = format!("{options:?}");
        assert!(!shown.contains("s3cret") && shown.contains("KEY") && shown.contains("qwen"), "{shown}");
    }
}
