//! `clawhook hooks test`.

use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::{output, view};

/// The largest body that is read; the gateway takes none that is larger.
const LARGEST_BODY: u64 = 512 * 1024;

/// The flags of `clawhook hooks test`.
#[derive(Args)]
pub(super) struct TrialArgs {
    /// The hook's id
    #[arg(value_name = "HOOK", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    hook: String,
    /// The file that holds the body; `-` is standard input
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// A header, `Name: value`; several are given one by one
    #[arg(long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The query, without the `?`
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

fn header(text: &str) -> Result<(String, String), &'static str> {
    const EXPECTED: &str = "expected `Name: value`";
    let (name, value) = text.split_once(':').ok_or(EXPECTED)?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() { Err(EXPECTED) } else { Ok((name.to_owned(), value.to_owned())) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trial {
    signed: Option<bool>,
    ignored: Option<String>,
    challenge: Option<String>,
    dropped: u64,
    asks: Vec<Value>,
}

/// Tries the hook out.
pub(super) async fn run(client: &Client, args: TrialArgs) -> Result<(), Failure> {
    let mut request = Map::new();
    if let Some(path) = &args.body {
        let body = read(path)
            .map_err(|error| Failure::error(format!("`{}` cannot be read: {error}", path.display())))?;
        request.insert("bodyBase64".to_owned(), json!(STANDARD.encode(body)));
    }
    let headers: Map<String, Value> =
        args.headers.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    request.insert("headers".to_owned(), Value::Object(headers));
    if let Some(query) = args.query {
        request.insert("query".to_owned(), json!(query));
    }
    let answer = client.call(Call::post(["hooks", &args.hook, "test"]).json(Value::Object(request))).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let Trial { signed, ignored, challenge, dropped, asks } = view::read(&answer)?;
    match signed {
        Some(true) => output::message("note", "the signature is right"),
        Some(false) => {
            output::message("note", "the signature is missing or wrong: a caller would be refused");
        }
        None => {}
    }
    if dropped > 0 {
        output::message(
            "note",
            &format!("{dropped} elements would be left out: one request asks for 200 at most"),
        );
    }
    let told = match (ignored, challenge) {
        (Some(why), _) => format!("it would be ignored ({why})"),
        (_, Some(text)) => format!("it would be answered: {text}"),
        (None, None) => {
            let asks: Result<Vec<String>, _> = asks.iter().map(serde_json::to_string_pretty).collect();
            asks.map_err(|error| Failure::error(error.to_string()))?.join("\n")
        }
    };
    Ok(output::data(&told)?)
}

fn read(path: &PathBuf) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(LARGEST_BODY).read_to_end(&mut body)?;
    } else {
        std::fs::File::open(path)?.take(LARGEST_BODY).read_to_end(&mut body)?;
    }
    Ok(body)
}
