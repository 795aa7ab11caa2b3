//! Kept plans: files that `plan --out` wrote. One is carried out only if it is as it was written, and if what it stands on
//! is still so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::args::WorldArgs;
use super::console::Console;
use super::exit::Exit;
use super::load::{self, Specified};
use super::{session, world};
use crate::plan::Plan;
use crate::plan::policy::Policy;
use crate::plan::reads::{Moved, Reads};
use crate::port::Provider;
use crate::provider::Place;
use crate::report::document::{self, Basis, PlanDoc};
use crate::report::restore;
use crate::resources::stack::Stack;
use crate::spec::{Format, Source};

/// How many differences are named before the rest is only counted.
const LISTED: usize = 12;
/// What helps against every sort of a plan that does not fit.
const PLAN_AGAIN: &str = "plan again, and have that plan approved: `portcullis plan SPEC --out FILE`";

/// Whether a file is a kept plan rather than a spec.
#[must_use]
pub fn is_plan(path: &Path) -> bool {
    let toml = path.extension().is_some_and(|ending| ending == "toml");
    let text = if toml { None } else { fs::read_to_string(path).ok() };
    let source = |text| Source { path: path.display().to_string(), text, format: Format::Json };
    text.is_some_and(|text| load::is_plan(&source(text)))
}

/// Reads a file that `plan --out` wrote, and whether it is as it was written.
///
/// # Errors
/// When it is none, or of a later version.
pub fn read(path: &Path, console: &Console) -> Result<(PlanDoc, bool), Exit> {
    let text = fs::read_to_string(path)
        .map_err(|why| console.error(&format!("`{}` cannot be read: {why}", path.display()), None))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|why| not_a_plan(path, &why, console))?;
    let version = value.get("format_version").and_then(serde_json::Value::as_u64);
    if version.is_some_and(|version| version > u64::from(document::FORMAT_VERSION)) {
        let hint = "use the version of portcullis that made it, or a later one";
        return Err(console.error(&format!("`{}` was made by a later portcullis", path.display()), Some(hint)));
    }
    let doc: PlanDoc = serde_json::from_value(value).map_err(|why| not_a_plan(path, &why, console))?;
    let whole = doc.text() == text && doc.is_whole();
    Ok((doc, whole))
}

fn not_a_plan(path: &Path, why: &serde_json::Error, console: &Console) -> Exit {
    console.error(&format!("`{}` is no plan: {why}", path.display()), Some("a plan is what `plan --out FILE` keeps"))
}

/// A kept plan that may be carried out.
#[derive(Debug)]
pub struct Ready {
    /// The plan, with its secrets.
    pub plan: Plan,
    /// With which policy a second plan can be made of the spec, where `--spec` told it.
    pub again: Option<Policy>,
}

/// A kept plan, before anything was asked of the world.
#[derive(Debug)]
pub struct Kept {
    /// The document.
    pub doc: PlanDoc,
    basis: Basis,
    plan: Plan,
    specified: Option<Specified>,
}

impl Kept {
    /// Reads a kept plan.
    ///
    /// # Errors
    /// When it was changed after it was made, or cannot be applied.
    pub fn open(path: &Path, args: &WorldArgs, console: &Console) -> Result<Self, Exit> {
        let (doc, whole) = read(path, console)?;
        let refuse = |why: &str| console.error(&format!("`{}` {why}", path.display()), Some(PLAN_AGAIN));
        let Some(basis) = doc.basis.clone() else {
            return Err(refuse("does not say what it stands on: it was made offline, or by an earlier portcullis"));
        };
        if !whole {
            return Err(refuse("is not as it was written: its hash is of something else"));
        }
        if doc.world != world::name(args) {
            let what = match doc.world {
                document::World::Aws => "is about AWS, and `--world` names a simulated world",
                document::World::Simulated => "is about a simulated world: name it with `--world`",
            };
            console.complain(&format!("`{}` {what}", path.display()), None);
            return Err(Exit::Usage);
        }
        load::check_commands(&basis.scope.hosts, args, console)?;
        let plan =
            restore::plan(&doc, &basis).map_err(|why| refuse(&format!("is no plan that can be applied: {why}")))?;
        Ok(Self { doc, basis, plan, specified: None })
    }

    /// Reads the spec beside it.
    ///
    /// # Errors
    /// When the plan was made from another spec, or needs one.
    pub async fn specify(self, specs: &[PathBuf], args: &WorldArgs, console: &Console) -> Result<Self, Exit> {
        let specified = match specs {
            [] => None,
            specs => Some(load::specified(specs, args, console).await?),
        };
        if specified.as_ref().is_some_and(|specified| specified.digest != self.basis.spec) {
            console.complain("the plan was made from another spec than `--spec` names", Some(PLAN_AGAIN));
            return Err(Exit::Stale);
        }
        if specified.is_none()
            && let Some(step) = self.plan.lacks_secret()
        {
            let message = format!("{}: it needs a secret, which no plan holds", step.words());
            console.complain(&message, Some("name the spec that the plan was made from: `--spec SPEC`"));
            return Err(Exit::Usage);
        }
        Ok(Self { specified, ..self })
    }

    /// The stack, as far as the plan or its spec tells.
    #[must_use]
    pub fn stack(&self) -> Stack {
        match &self.specified {
            Some(specified) => specified.stack.clone(),
            None => Stack {
                name: self.doc.stack.clone(),
                origin: self.doc.origin.clone(),
                account: self.doc.account.clone(),
                region: None,
                regions: self.basis.scope.regions.clone(),
                ignore_tags: Vec::new(),
                hosts: self.basis.scope.hosts.clone(),
                lock: self.basis.lock.clone(),
                resources: BTreeMap::new(),
            },
        }
    }

    /// Whether every enabled region is looked at.
    #[must_use]
    pub const fn all_regions(&self) -> bool {
        self.basis.scope.all_regions
    }

    /// Whether anything that the plan looks at is in the cloud.
    #[must_use]
    pub fn needs_cloud(&self) -> bool {
        let scope = &self.basis.scope;
        !scope.regions.is_empty() || !scope.fleet.is_empty() || scope.hosts.is_empty()
    }

    /// Looks whether everything that the plan stands on is still so, and fills in its secrets.
    ///
    /// # Errors
    /// [`Exit::Stale`] where something moved, each thing named; [`Exit::Error`] where something could not be seen.
    pub async fn check(self, place: &Place, console: &Console) -> Result<Ready, Exit> {
        let observed = session::observe(&self.basis.scope, place).await;
        let mut snapshot = observed.map_err(|error| console.provider_error(&error))?;
        if snapshot.account.is_some() && snapshot.account != self.doc.account {
            let account = |account: &Option<crate::model::AccountId>| {
                account.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
            };
            let message = format!(
                "the plan is for account {}, and these credentials belong to {}",
                account(&self.doc.account),
                account(&snapshot.account)
            );
            console.complain(&message, Some("use that account's credentials (`--profile`)"));
            return Err(Exit::Refused);
        }
        let answers = place.inquire(&self.basis.reads.questions()).await;
        snapshot.answers.extend(answers.map_err(|error| console.provider_error(&error))?);
        let moved = self.basis.reads.moved(&self.doc.stack, &snapshot);
        if !moved.is_empty() {
            stale(&moved, &self.basis.reads, console);
            return Err(Exit::Stale);
        }
        let Some(Specified { stack, .. }) = self.specified else { return Ok(Ready { plan: self.plan, again: None }) };
        let options = &self.basis.options;
        let policy = options.policy(restore::goal(self.doc.goal), Timestamp::now());
        let policy = policy.map_err(|why| console.error(&format!("the plan is no plan: {why}"), Some(PLAN_AGAIN)))?;
        let again = session::plan_for(&stack, &policy, self.basis.scope.all_regions, place).await;
        let (again, _) = again.map_err(|error| console.provider_error(&error))?;
        let plan = self.plan.completed_by(&again).map_err(|why| {
            let message = format!("a plan made from the spec now is another one: {why}");
            console.complain(&message, Some(PLAN_AGAIN));
            Exit::Stale
        })?;
        Ok(Ready { plan, again: Some(policy) })
    }
}

/// Names what moved.
fn stale(moved: &[Moved], reads: &Reads, console: &Console) {
    console.complain("the plan is stale: what it stands on has changed since, and nothing was changed now", None);
    for one in moved.iter().take(LISTED) {
        console.talk(&format!("  {one}"));
    }
    if let Some(more) = moved.len().checked_sub(LISTED).filter(|more| *more > 0) {
        console.talk(&format!("  and {more} more"));
    }
    let made = |one: &&Moved| one.field == "object" && one.before == "nothing";
    let begun = !reads.stands.is_empty() && moved.iter().any(|one| made(&one));
    let again = if begun { "; if this plan was begun or applied before, a new one finishes what is left" } else { "" };
    console.talk(&format!("  hint: {PLAN_AGAIN}{again}"));
}
