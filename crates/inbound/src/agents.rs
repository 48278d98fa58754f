//! Which agent a request is for.

use clawhook_model::AgentId;

use crate::definition::AgentRules;
use crate::refusal::Refusal;
use crate::token::Token;

impl AgentRules {
    /// The agent that is meant: the one that was named, or else the default one. That an id was left out opens nothing:
    /// the list of those that may be reached holds for the default agent too.
    pub(crate) fn choose(&self, named: Option<&str>, caller: Option<&Token>) -> Result<AgentId, Refusal> {
        let agent = match named.map(str::trim).filter(|name| !name.is_empty()) {
            None => self.default.clone(),
            Some(name) => {
                let agent = AgentId::normalise(name);
                if !self.known.contains(&agent) {
                    return Err(Refusal::UnknownAgent(name.chars().take(100).collect()));
                }
                agent
            }
        };
        let is_allowed = self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&agent))
            && caller.is_none_or(|caller| caller.may_reach(&agent));
        if is_allowed { Ok(agent) } else { Err(Refusal::AgentNotAllowed) }
    }
}
