//! `clawhook destinations render`.

use clap::Args;

use super::OneArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output;
use crate::view::{self, RenderedView};

/// The flags of `clawhook destinations render`.
#[derive(Args)]
pub(super) struct RenderArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Of this run; a sample where it is left out
    #[arg(long, value_name = "RUN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    run: Option<String>,
}

/// Shows what the destination would be sent: the format's headers, an empty line, the body.
pub(super) async fn run(client: &Client, args: &RenderArgs) -> Result<(), Failure> {
    let call = Call::get(["destinations", &args.one.name, "render"]).maybe("runId", args.run.clone());
    let answer = client.call(call).await?;
    if args.one.json {
        return Ok(output::json(&answer)?);
    }
    let rendered: RenderedView = view::read(&answer)?;
    Ok(output::data(&message(&rendered))?)
}

fn message(rendered: &RenderedView) -> String {
    let headers = rendered.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let headers = std::iter::once(("content-type", rendered.content_type.as_str())).chain(headers);
    let head: String =
        headers.map(|(name, value)| output::printable(&format!("{name}: {value}")) + "\n").collect();
    format!("{head}\n{}", output::printable_lines(&rendered.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_is_shown_as_it_goes_without_what_a_terminal_would_obey() {
        let rendered = RenderedView {
            content_type: "text/plain".to_owned(),
            headers: vec![("x-a".to_owned(), "b".to_owned())],
            body: "one\n\x1b[2Jtwo\n".to_owned(),
        };
        assert_eq!(message(&rendered), "content-type: text/plain\nx-a: b\n\none\n[2Jtwo");
    }
}
