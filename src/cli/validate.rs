//! `validate`: checks a spec, offline.

use super::args::{ProblemFormat, Validate};
use super::console::Console;
use super::exit::Exit;
use super::plan::json;
use super::{load, world};
use crate::report::problems;
use crate::report::style::Style;

/// Runs the command.
///
/// # Errors
/// The exit that says what went wrong.
pub fn run(args: &Validate, console: &Console) -> Result<Exit, Exit> {
    // Offline, a spec without a region is checked as if it stood in one: which one changes nothing that is checked here.
    let anywhere = world::ambient_region().or_else(|| crate::model::Region::new("us-east-1").ok());
    let loaded = load::read(&args.spec.specs, anywhere, console)?;
    let wrong = loaded.problems.has_errors();
    match args.format {
        ProblemFormat::Json => document(&problems::json(&loaded.problems, &loaded.sources), console),
        ProblemFormat::Sarif => document(&problems::sarif(&loaded.problems, &loaded.sources), console),
        ProblemFormat::Text => {
            if !loaded.problems.is_empty() {
                let colour = console.talk_style() == Style::Colour;
                console.talk(problems::terminal(&loaded.problems, &loaded.sources, colour).trim_end());
            }
            if let Some(stack) = &loaded.stack {
                let count = stack.resources.len();
                let resources = if count == 1 { "resource" } else { "resources" };
                console.result(&format!("stack {}: {count} {resources}, no errors\n", stack.name));
            }
        }
    }
    Ok(if wrong { Exit::Error } else { Exit::Done })
}

fn document(document: &serde_json::Value, console: &Console) {
    console.result(&format!("{}\n", json(document)));
}
