//! `plan`, `show` and `graph`: what would be done.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::args::{Graph, GraphFormat, Plan, PlanForm, PlanFormat, PolicyArgs, Show};
use super::console::Console;
use super::exit::Exit;
use super::load::Specified;
use super::policy::{policy, unknown_addresses, unknown_targets};
use super::session::Asked;
use super::{kept, load, session, world};
use crate::model::{Address, Region};
use crate::plan::policy::Goal;
use crate::rehearsal;
use crate::report::document::{self, PlanDoc};
use crate::report::{edges, markdown, snapshot, terminal};
use crate::resources::stack::Stack;

/// Runs `plan`.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn run(args: &Plan, console: &Console) -> Result<Exit, Exit> {
    check_form(args.form, console)?;
    let (plan, doc) = match &args.snapshot {
        Some(path) => offline(args, path, console)?,
        None => online(args, console).await?,
    };
    if let Some(path) = &args.out {
        keep(path, &doc).map_err(|why| {
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

/// Keeps a plan whole or not at all, for its owner alone: it shows addresses and user data.
fn keep(path: &Path, doc: &PlanDoc) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(doc.text().as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

async fn online(args: &Plan, console: &Console) -> Result<(crate::plan::Plan, PlanDoc), Exit> {
    let Specified { stack, digest } = load::specified(&args.spec.specs, &args.world, console).await?;
    check_addresses(&args.policy, &stack, console)?;
    let place = world::open(&args.world, &stack, 16, console).await?;
    let policy = policy(&args.policy, if args.destroy { Goal::Destroy } else { Goal::Converge });
    let rehearse = !args.policy.risks.no_rehearsal;
    let (plan, snapshot) = session::rehearsed_plan_for(&stack, &policy, args.policy.all_regions, rehearse, &place)
        .await
        .map_err(|error| console.provider_error(&error))?;
    check_targets(&args.policy, &stack, &plan, console)?;
    let asked = Asked { policy: &policy, today: args.policy.today, all_regions: args.policy.all_regions };
    let basis = session::basis(&plan, &stack, &snapshot, &digest, &asked);
    let doc = document::document(&plan, world::name(&args.world)).sealed(Some(basis));
    Ok((plan, doc))
}

/// Plans against a snapshot in a file: nothing can be asked beyond it.
fn offline(args: &Plan, path: &Path, console: &Console) -> Result<(crate::plan::Plan, PlanDoc), Exit> {
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
    let mut plan = crate::plan::plan(&stack, &doc.snapshot, &policy);
    let told = rehearsal::rehearse(&stack, &doc.snapshot, &policy, false, &plan);
    if let Some(told) = told.filter(|_| !args.policy.risks.no_rehearsal) {
        plan.rehearsed(told);
    }
    check_targets(&args.policy, &stack, &plan, console)?;
    if !plan.questions().is_empty() {
        console.talk(&format!(
            "note: {} questions that a plan asks beyond the listings were not asked (names, holders, images)",
            plan.questions().len()
        ));
    }
    let doc = document::document(&plan, doc.world).sealed(None);
    Ok((plan, doc))
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
        PlanFormat::Json => doc.text(),
        PlanFormat::Markdown => markdown::plan(doc, form.budget.unwrap_or(markdown::BUDGET)),
    });
}

/// A document as JSON.
pub fn json<T: serde::Serialize>(doc: &T) -> String {
    // Documents are plain text and numbers with text keys, which always can be written.
    serde_json::to_string_pretty(doc).unwrap_or_default()
}

/// Runs `show`.
///
/// # Errors
/// The exit that says what went wrong.
pub fn show(args: &Show, console: &Console) -> Result<Exit, Exit> {
    check_form(args.form, console)?;
    let (doc, whole) = kept::read(&args.file, console)?;
    if !whole && doc.hash.is_some() {
        console.talk(&format!(
            "warning: `{}` was changed after it was written, and cannot be applied",
            args.file.display()
        ));
    }
    show_document(&doc, args.form, console);
    Ok(Exit::Done)
}

/// Runs `graph`.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn graph(args: &Graph, console: &Console) -> Result<Exit, Exit> {
    let doc = match args.spec.specs.as_slice() {
        [file] if kept::is_plan(file) => kept::read(file, console)?.0,
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
