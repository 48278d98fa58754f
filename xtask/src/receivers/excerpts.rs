//! What docs/receivers.md shows of the examples is what they say.

const DOCS: &str = include_str!("../../../docs/receivers.md");

/// A block of code under a comment that names the file it is from.
struct Excerpt {
    path: &'static str,
    lines: Vec<&'static str>,
}

fn excerpts() -> Vec<Excerpt> {
    let mut excerpts = Vec::new();
    let mut lines = DOCS.lines();
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_prefix("<!-- from ").and_then(|rest| rest.strip_suffix(" -->")) {
            assert!(lines.next().is_some_and(|fence| fence.starts_with("```")), "no code follows {path}");
            excerpts
                .push(Excerpt { path, lines: lines.by_ref().take_while(|line| *line != "```").collect() });
        }
    }
    excerpts
}

#[test]
fn every_excerpt_stands_in_its_file_line_by_line() {
    for Excerpt { path, lines } in excerpts() {
        let file = std::fs::read_to_string(crate::workspace::root().join(path)).unwrap();
        let file: Vec<&str> = file.lines().collect();
        assert!(!lines.is_empty(), "nothing is shown of {path}");
        assert!(
            file.windows(lines.len()).any(|window| window == lines),
            "{path} does not say so any more:\n{}",
            lines.join("\n")
        );
    }
}

#[test]
fn every_example_that_is_code_is_shown_and_every_example_is_named() {
    let shown = excerpts();
    for example in &super::EXAMPLES {
        let folder = format!("receivers/{}", example.name);
        assert!(DOCS.contains(&format!("(../{folder})")), "{folder} is not linked");
        let is_code = !matches!(example.name, "n8n" | "zapier");
        assert!(!is_code || shown.iter().any(|excerpt| excerpt.path.starts_with(&folder)), "{folder}");
    }
}
