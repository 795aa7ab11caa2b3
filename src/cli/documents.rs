//! `schema`, `completions` and `man`: what describes the tool itself.

use clap::CommandFactory;

use super::args::{Cli, Completions, Document, Schema};
use super::console::Console;
use super::exit::Exit;
use super::plan::json;
use crate::apply::journal::Entry;
use crate::report::document::PlanDoc;
use crate::report::outcome::OutcomeDoc;
use crate::report::snapshot::SnapshotDoc;
use crate::resources::world::World;

/// The JSON Schema of a document.
#[must_use]
pub fn schema_of(document: Document) -> String {
    let schema = match document {
        Document::Spec => crate::spec::schema(),
        Document::Plan => schemars::schema_for!(PlanDoc).to_value(),
        Document::Snapshot => schemars::schema_for!(SnapshotDoc).to_value(),
        Document::Outcome => schemars::schema_for!(OutcomeDoc).to_value(),
        Document::Journal => schemars::schema_for!(Entry<'static>).to_value(),
        Document::World => schemars::schema_for!(World).to_value(),
    };
    format!("{}\n", json(&schema))
}

/// Runs `schema`.
#[must_use]
pub fn schema(args: &Schema, console: &Console) -> Exit {
    console.result(&schema_of(args.document));
    Exit::Done
}

/// Runs `completions`.
#[must_use]
pub fn completions(args: &Completions, console: &Console) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "portcullis", &mut script);
    console.result(&String::from_utf8_lossy(&script));
    Exit::Done
}

/// Runs `man`.
#[must_use]
pub fn man(console: &Console) -> Exit {
    let mut page = Vec::new();
    let command = Cli::command();
    let mut rendered = clap_mangen::Man::new(command.clone()).render(&mut page);
    for subcommand in command.get_subcommands() {
        let name = format!("portcullis {}", subcommand.get_name());
        let subcommand = subcommand.clone().bin_name(name.clone()).display_name(name);
        rendered = rendered.and_then(|()| clap_mangen::Man::new(subcommand).render(&mut page));
    }
    match rendered {
        Ok(()) => {
            console.result(&String::from_utf8_lossy(&page));
            Exit::Done
        }
        Err(why) => console.error(&format!("the manual cannot be written: {why}"), None),
    }
}
