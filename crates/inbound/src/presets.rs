//! Hooks of the house, which need no mapping of their own.

use std::fmt;
use std::str::FromStr;

use crate::definition::{HookDefinition, HookId, Matching};
use crate::template::{Template, TemplateError};

/// A hook of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// New mail, as OpenClaw's watcher of Gmail posts it: one run for each message.
    Gmail,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Gmail];

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gmail => "gmail",
        }
    }

    /// Its hook.
    pub fn hook(self) -> HookDefinition {
        match self {
            Self::Gmail => gmail().unwrap_or_else(|error| unreachable!("the preset is tested: {error}")),
        }
    }
}

impl FromStr for Preset {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == text).ok_or(())
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn gmail() -> Result<HookDefinition, TemplateError> {
    const MESSAGE: &str = "New email from {{messages[0].from}}\nSubject: {{messages[0].subject}}\n\
                           {{messages[0].snippet}}\n{{messages[0].body}}";
    let Ok(id) = "gmail".parse::<HookId>() else { unreachable!("the preset's id is one") };
    Ok(HookDefinition {
        matching: Matching { path: Some("gmail".to_owned()), source: None },
        name: Some(Template::parse("Gmail")?),
        session_key: Some(Template::parse("hook:gmail:{{messages[0].id}}")?),
        text: Some(Template::parse(MESSAGE)?),
        for_each: Some("messages".to_owned()),
        is_preset: true,
        ..HookDefinition::new(id)
    })
}
