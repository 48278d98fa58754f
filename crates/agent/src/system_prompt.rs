//! What an agent is told before anything else: its own prompt, the file of its workspace, and what the gateway knows.

use std::path::{Path, PathBuf};

use clawhook_model::UnixMs;
use thiserror::Error;
use tokio::io::AsyncReadExt;

use crate::Message;
use crate::conversation::FENCE_RULE;
use crate::profile::AgentProfile;

/// How much of the workspace's file is told.
const FILE_LIMIT: usize = 64 * 1024;

const CUT_MARKER: &str = "\n[the file was cut here: it is longer than 64 KiB]";

/// What the gateway tells every agent.
const UNATTENDED: &str = "You run as a scheduled job. Nobody is there to answer questions: do the work with what you have. \
    Your last message is the result, and it is sent on as it is.";

/// Why an agent cannot be told what it is to be told.
#[derive(Debug, Error)]
pub(crate) enum PromptError {
    /// The file cannot be read.
    #[error("the agent's prompt file {} cannot be read: {why}. Check systemPromptFile and the workspace", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// The file lies outside the workspace.
    #[error("the agent's prompt file {} lies outside its workspace {}. Move it there", .path.display(), .workspace.display())]
    Outside {
        /// The file.
        path: PathBuf,
        /// The workspace.
        workspace: PathBuf,
    },
    /// There is no workspace that the file could lie in.
    #[error("the agent has a prompt file, {}, and no workspace in which it could lie. Set its workspace", .0.display())]
    NoWorkspace(PathBuf),
}

/// Everything that an agent is told before `message`, at `now`.
pub(crate) async fn system_prompt(
    profile: &AgentProfile,
    message: &Message,
    now: UnixMs,
) -> Result<String, PromptError> {
    let file = match &profile.system_prompt_file {
        Some(path) if !message.light_context => Some(read(path, profile.workspace.as_deref()).await?),
        _ => None,
    };
    let schema = message.output_schema.as_ref().map(|schema| {
        format!("The result must be JSON, and nothing but JSON, that fits this JSON Schema:\n{schema}")
    });
    let parts = [
        profile.system_prompt.clone(),
        file,
        Some(UNATTENDED.to_owned()),
        (!message.unfenced).then(|| FENCE_RULE.to_owned()),
        profile.time_zone.as_deref().and_then(|zone| time_in(zone, now)),
        schema,
    ];
    let parts = parts.into_iter().flatten().filter(|part| !part.trim().is_empty());
    Ok(parts.collect::<Vec<_>>().join("\n\n"))
}

/// The time in a zone; nothing where there is no such zone, which the configuration was checked for.
fn time_in(zone: &str, now: UnixMs) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(now.as_millis()).ok()?.in_tz(zone).ok()?;
    Some(format!("It is {} in {zone}.", at.strftime("%A, %Y-%m-%d, %H:%M")))
}

async fn read(path: &Path, workspace: Option<&Path>) -> Result<String, PromptError> {
    let Some(workspace) = workspace else { return Err(PromptError::NoWorkspace(path.to_owned())) };
    let unreadable = |why| PromptError::Unreadable { path: path.to_owned(), why };
    let real_workspace = tokio::fs::canonicalize(workspace).await.map_err(unreadable)?;
    let real = tokio::fs::canonicalize(real_workspace.join(path)).await.map_err(unreadable)?;
    if !real.starts_with(&real_workspace) {
        return Err(PromptError::Outside { path: path.to_owned(), workspace: workspace.to_owned() });
    }
    // Opening a pipe would wait for somebody to write to it.
    if !tokio::fs::metadata(&real).await.map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is not a file")));
    }
    let file = tokio::fs::File::open(&real).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT as u64 + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    Ok(told(&bytes))
}

fn told(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(FILE_LIMIT)]).into_owned();
    if bytes.len() > FILE_LIMIT { text + CUT_MARKER } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs::from_millis(1_764_000_000_000);

    fn profile(workspace: &Path, file: &str) -> AgentProfile {
        AgentProfile {
            system_prompt: Some("You are Ada.".into()),
            system_prompt_file: Some(file.into()),
            workspace: Some(workspace.to_owned()),
            time_zone: Some("Asia/Tokyo".into()),
            ..AgentProfile::default()
        }
    }

    #[tokio::test]
    async fn an_agent_is_told_its_prompt_its_file_the_time_and_that_nobody_is_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("AGENT.md"), "Be brief.").unwrap();
        let profile = profile(folder.path(), "AGENT.md");
        let told = system_prompt(&profile, &Message::default(), NOW).await.unwrap();
        assert!(told.starts_with("You are Ada.\n\nBe brief.\n\nYou run as a scheduled job."), "{told}");
        assert!(told.ends_with("It is Tuesday, 2025-11-25, 01:00 in Asia/Tokyo."), "{told}");
        assert!(told.contains(FENCE_RULE));
        let light = Message { light_context: true, unfenced: true, ..Message::default() };
        let told = system_prompt(&profile, &light, NOW).await.unwrap();
        assert!(!told.contains("Be brief.") && !told.contains("external"), "{told}");
    }

    #[tokio::test]
    async fn a_file_that_leaves_the_workspace_is_not_told_whichever_way_it_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().join("work");
        std::fs::create_dir(&workspace).unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "s3cret").unwrap();
        std::os::unix::fs::symlink(&secret, workspace.join("link")).unwrap();
        for file in ["../secret", "link", secret.to_str().unwrap()] {
            let refused =
                system_prompt(&profile(&workspace, file), &Message::default(), NOW).await.unwrap_err();
            assert!(matches!(refused, PromptError::Outside { .. }), "{refused}");
        }
        let missing =
            system_prompt(&profile(&workspace, "none"), &Message::default(), NOW).await.unwrap_err();
        assert!(missing.to_string().starts_with("the agent's prompt file none cannot be read"), "{missing}");
    }

    #[test]
    fn a_long_file_is_cut_and_says_so() {
        let text = told(&vec![b'a'; FILE_LIMIT + 1]);
        assert!(text.ends_with(CUT_MARKER) && text.len() == FILE_LIMIT + CUT_MARKER.len());
    }
}
