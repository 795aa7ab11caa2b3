//! `plan`, `show` and `graph`: what would be done.

use std::fs;
use std::path::Path;

use super::args::{Graph, GraphFormat, Plan, PlanForm, PlanFormat, PolicyArgs, Show};
use super::console::Console;
use super::exit::Exit;
use super::policy::{policy, unknown_addresses, unknown_targets};
use super::{load, session, world};
use crate::model::{Address, Region};
use crate::plan::policy::Goal;
use crate::report::document::{self, PlanDoc, World};
use crate::report::{edges, markdown, snapshot, terminal};
use crate::resources::stack::Stack;
use crate::spec::{Format, Source};

/// Runs `plan`.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn run(args: &Plan, console: &Console) -> Result<Exit, Exit> {
    check_form(args.form, console)?;
    let (plan, name) = match &args.snapshot {
        Some(path) => offline(args, path, console)?,
        None => (online(args, console).await?, world::name(&args.world)),
    };
    let doc = document::document(&plan, name);
    if let Some(path) = &args.out {
        let text = format!("{}\n", json(&doc));
        fs::write(path, text).map_err(|why| {
            console.error(&format!("the plan cannot be written to `{}`: {why}", path.display()), None)
        })?;
    }
    show_document(&doc, args.form, console);
    Ok(match (doc.refusals.is_empty(), args.detailed_exitcode && !plan.is_empty()) {
        (false, _) => Exit::Refused,
        (true, true) => Exit::Pending,
        (true, false) => Exit::Done,
    })
}

async fn online(args: &Plan, console: &Console) -> Result<crate::plan::Plan, Exit> {
    let stack = load::stack(&args.spec.specs, &args.world, console).await?;
    check_addresses(&args.policy, &stack, console)?;
    let place = world::open(&args.world, &stack, 16, console).await?;
    let policy = policy(&args.policy, Goal::Converge);
    let (plan, _) = session::plan_for(&stack, &policy, args.policy.all_regions, &place)
        .await
        .map_err(|error| console.provider_error(&error))?;
    check_targets(&args.policy, &stack, &plan, console)?;
    Ok(plan)
}

/// Plans against a snapshot in a file: nothing can be asked beyond it.
fn offline(args: &Plan, path: &Path, console: &Console) -> Result<(crate::plan::Plan, World), Exit> {
    let text = fs::read_to_string(path)
        .map_err(|why| console.error(&format!("`{}` cannot be read: {why}", path.display()), None))?;
    let doc: snapshot::SnapshotDoc = serde_json::from_str(&text).map_err(|why| {
        let hint = "a snapshot is what `observe --format json` prints";
        console.error(&format!("`{}` is no snapshot: {why}", path.display()), Some(hint))
    })?;
    let anywhere = world::ambient_region().or_else(|| Region::new("us-east-1").ok());
    let stack = load::checked(load::read(&args.spec.specs, anywhere, console)?, console)?;
    if stack.name != doc.stack {
        let message = format!("the snapshot is of stack `{}`, the spec of stack `{}`", doc.stack, stack.name);
        return Err(console.error(&message, None));
    }
    check_addresses(&args.policy, &stack, console)?;
    let policy = policy(&args.policy, Goal::Converge);
    let plan = crate::plan::plan(&stack, &doc.snapshot, &policy);
    check_targets(&args.policy, &stack, &plan, console)?;
    if !plan.questions().is_empty() {
        console.talk(&format!(
            "note: {} questions that a plan asks beyond the listings were not asked (names, holders, images)",
            plan.questions().len()
        ));
    }
    Ok((plan, doc.world))
}

/// Refuses addresses that name nothing.
///
/// # Errors
/// [`Exit::Usage`], when there are any.
pub fn check_addresses(args: &PolicyArgs, stack: &Stack, console: &Console) -> Result<(), Exit> {
    refuse_unknown(&unknown_addresses(args, stack), stack, console)
}

/// Refuses targets that name neither a resource nor an orphan.
///
/// # Errors
/// [`Exit::Usage`], when there are any.
pub fn check_targets(
    args: &PolicyArgs,
    stack: &Stack,
    plan: &crate::plan::Plan,
    console: &Console,
) -> Result<(), Exit> {
    refuse_unknown(&unknown_targets(args, stack, plan), stack, console)
}

fn refuse_unknown(unknown: &[Address], stack: &Stack, console: &Console) -> Result<(), Exit> {
    let Some(first) = unknown.first() else { return Ok(()) };
    let known: Vec<String> =
        stack.resources.keys().filter(|known| known.kind == first.kind).map(ToString::to_string).collect();
    let hint = if known.is_empty() {
        "the spec has no such kind".to_owned()
    } else {
        format!("there are {}", known.join(", "))
    };
    console.complain(&format!("the spec has no `{first}`"), Some(&hint));
    Err(Exit::Usage)
}

/// Refuses a budget for a form that knows none.
fn check_form(form: PlanForm, console: &Console) -> Result<(), Exit> {
    match form {
        PlanForm { format: PlanFormat::Markdown, budget: _ } | PlanForm { format: _, budget: None } => Ok(()),
        PlanForm { format: PlanFormat::Text | PlanFormat::Json, budget: Some(_) } => {
            console.complain("`--budget` is for Markdown alone", Some("add `--format markdown`, or leave it out"));
            Err(Exit::Usage)
        }
    }
}

/// Writes a plan's document.
fn show_document(doc: &PlanDoc, form: PlanForm, console: &Console) {
    console.result(&match form.format {
        PlanFormat::Text => terminal::plan(doc, console.style()),
        PlanFormat::Json => format!("{}\n", json(doc)),
        PlanFormat::Markdown => markdown::plan(doc, form.budget.unwrap_or(markdown::BUDGET)),
    });
}

/// A document as JSON.
pub fn json<T: serde::Serialize>(doc: &T) -> String {
    // Documents are plain text and numbers with text keys, which always can be written.
    serde_json::to_string_pretty(doc).unwrap_or_default()
}

/// Reads a file that `plan --out` wrote.
///
/// # Errors
/// When it is none, or of a later version.
fn read_document(path: &Path, console: &Console) -> Result<PlanDoc, Exit> {
    let text = fs::read_to_string(path)
        .map_err(|why| console.error(&format!("`{}` cannot be read: {why}", path.display()), None))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|why| not_a_plan(path, &why, console))?;
    let version = value.get("format_version").and_then(serde_json::Value::as_u64);
    if version.is_some_and(|version| version > u64::from(document::FORMAT_VERSION)) {
        let hint = "use the version of portcullis that made it, or a later one";
        return Err(console.error(&format!("`{}` was made by a later portcullis", path.display()), Some(hint)));
    }
    serde_json::from_value(value).map_err(|why| not_a_plan(path, &why, console))
}

fn not_a_plan(path: &Path, why: &serde_json::Error, console: &Console) -> Exit {
    console.error(&format!("`{}` is no plan: {why}", path.display()), Some("a plan is what `plan --out FILE` keeps"))
}

/// Runs `show`.
///
/// # Errors
/// The exit that says what went wrong.
pub fn show(args: &Show, console: &Console) -> Result<Exit, Exit> {
    check_form(args.form, console)?;
    let doc = read_document(&args.file, console)?;
    show_document(&doc, args.form, console);
    Ok(Exit::Done)
}

/// Runs `graph`.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn graph(args: &Graph, console: &Console) -> Result<Exit, Exit> {
    let doc = match args.spec.specs.as_slice() {
        [file] if is_plan(file) => read_document(file, console)?,
        specs => {
            let stack = load::stack(specs, &args.world, console).await?;
            let place = world::open(&args.world, &stack, 16, console).await?;
            let policy = policy(&PolicyArgs::default(), Goal::Converge);
            let (plan, _) = session::plan_for(&stack, &policy, false, &place)
                .await
                .map_err(|error| console.provider_error(&error))?;
            document::document(&plan, world::name(&args.world))
        }
    };
    console.result(&match args.format {
        GraphFormat::Dot => edges::dot(&doc),
        GraphFormat::Mermaid => edges::mermaid(&doc),
        GraphFormat::Text => edges::text(&doc),
    });
    Ok(Exit::Done)
}

/// Whether a file is a kept plan rather than a spec.
fn is_plan(path: &Path) -> bool {
    let toml = path.extension().is_some_and(|ending| ending == "toml");
    let text = if toml { None } else { fs::read_to_string(path).ok() };
    let source = |text| Source { path: path.display().to_string(), text, format: Format::Json };
    text.is_some_and(|text| load::is_plan(&source(text)))
}
