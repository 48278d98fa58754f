//! `clawhook config check`: what a configuration means, without a gateway.

use serde_json::{Value, json};

use crate::processes::Home;

const CONFIG: &str = r#"{
  models: { providers: { local: { baseUrl: "http://127.0.0.1:1/v1" }, qwen: { api: "acp", command: "qwen" } } },
  mcp: { servers: { files: { command: "f" } } },
  agents: {
    defaults: { model: "local/small" },
    entries: { coder: { model: "qwen/default", fallbacks: ["local/small"], tools: { allow: ["files"] },
                        heartbeat: { every: "30m" } } },
  },
}"#;

#[test]
fn a_check_shows_each_agent_with_its_models_their_runtimes_its_folder_and_its_tools() {
    let home = Home::new();
    home.write(".clawhook/clawhook.json5", CONFIG);
    let shown = home.run(&["config", "check", "--json"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let coder = json!({
        "id": "coder", "models": ["qwen/default", "local/small"], "runtimes": ["acp", "openai-completions"],
        "workspace": home.path(".clawhook/workspace-coder"), "tools": { "allow": ["files"], "deny": [] },
        "heartbeat": "30m",
    });
    assert_eq!(shown["agents"][0], coder);
    assert_eq!(shown["agents"][1]["id"], "main");
    let table = home.run(&["config", "check"]);
    assert!(table.stdout.contains("qwen/default, local/small"), "{table:?}");
    assert!(!home.path(".clawhook/workspace").exists(), "a check makes nothing");
}

#[test]
fn a_check_of_what_is_wrong_tells_all_of_it_and_fails() {
    let home = Home::new();
    let file =
        home.write("other.json5", "{ agents: { defaults: { model: 'x/y' } }, cron: { enabeld: true } }");
    let told = home.run(&["config", "check", "--config", file.to_str().unwrap()]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stdout.is_empty(), "{told:?}");
    for part in ["which `models.providers` lacks", "did you mean `enabled`?", "other.json5:1:"] {
        assert!(told.stderr.contains(part), "{told:?}");
    }
}
