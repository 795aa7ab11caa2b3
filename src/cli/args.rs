//! What may stand on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::civil::Date;

use crate::model::Address;
use crate::model::duration::Seconds;
use crate::resources::Impact;

/// Plan and apply the edge of an AWS web stack from one spec, without a state file
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// When to colour the output; colour only repeats what words say
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a spec, offline
    Validate(Validate),
    /// Show what apply would do; changes nothing
    Plan(Plan),
    /// Show a plan that `plan --out` kept
    Show(Show),
    /// Plan, ask, and carry the plan out
    Apply(Apply),
    /// Remove what the stack owns, protected objects excepted
    Destroy(Destroy),
    /// Show what exists, what is owned, and what could not be seen
    Observe(Observe),
    /// Take our tags off an object and leave it where it is
    Forget(Forget),
    /// Look at a change of a host's firewall that waits to be confirmed, confirm it, or take it back
    Firewall(Firewall),
    /// Say who holds the stack's lock, or end the one of a run that is dead
    Lock(Lock),
    /// Write the graph of a plan
    Graph(Graph),
    /// Print the least IAM policy that a spec needs, offline
    Permissions(Permissions),
    /// Write the JSON Schema of a document
    Schema(Schema),
    /// Write a completion script
    Completions(Completions),
    /// Write the manual page
    Man,
}

/// Which spec.
#[derive(Debug, Clone, Args)]
pub struct SpecArgs {
    /// TOML or JSON files, or directories of them, merged in this order
    #[arg(value_name = "SPEC", required = true)]
    pub specs: Vec<PathBuf>,
}

/// Which world.
#[derive(Debug, Clone, Args)]
pub struct WorldArgs {
    /// Use the simulated world in FILE instead of AWS: no account, no network
    #[arg(long, value_name = "FILE")]
    pub world: Option<PathBuf>,
    /// The AWS profile; the SDK's own chain of credentials decides otherwise
    #[arg(long, value_name = "NAME", conflicts_with = "world")]
    pub profile: Option<String>,
    /// How many hundredths of AWS's published request rates may be used: less where others need them, more where AWS raised
    /// the account's limits
    #[arg(long, value_name = "PERCENT", default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..=10000))]
    pub request_share: u16,
    /// Run the commands by which a spec reaches hosts (`transport = { command = … }`): as whoever runs this, so only for specs
    /// that you trust as you trust a script
    #[arg(long)]
    pub allow_command: bool,
}

/// What a plan is restricted to, and what is accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct PolicyArgs {
    /// Only this address, with what it needs and what its change reaches (may be repeated)
    #[arg(long, value_name = "ADDR")]
    pub target: Vec<Address>,
    /// Not this address, nor what cannot do without its change (may be repeated)
    #[arg(long, value_name = "ADDR")]
    pub exclude: Vec<Address>,
    /// Put another object in this one's place, though nothing differs (may be repeated)
    #[arg(long, value_name = "ADDR")]
    pub replace: Vec<Address>,
    /// Leave owned objects that the spec does not name
    #[arg(long)]
    pub no_prune: bool,
    /// Look at every region that is enabled for the account
    #[arg(long)]
    pub all_regions: bool,
    /// Read user data and termination protection of every instance too: one call each
    #[arg(long)]
    pub verify: bool,
    /// Which risks are accepted
    #[command(flatten)]
    pub risks: RiskArgs,
    /// Delete everything the stack owns though the spec shares no address with it
    #[arg(long)]
    pub replace_stack: bool,
    /// Plan as if on this day (UTC), for rules that expire
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub today: Option<Date>,
}

/// Which risks are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct RiskArgs {
    /// Accept a risk that is refused otherwise (may be repeated)
    #[arg(long, value_enum, value_name = "RISK")]
    pub accept: Vec<Risk>,
    /// Refuse what is a warning otherwise: addresses that stay open on a host because their region cannot be listed
    #[arg(long)]
    pub strict: bool,
    /// Do not rehearse the plan: what it passes through on its way is not looked at
    #[arg(long)]
    pub no_rehearsal: bool,
}

/// Risks that can be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Risk {
    /// Something is reachable for a moment that neither start nor end allows
    Exposure,
    /// Whoever carries the plan out may not get into a host any more
    Lockout,
    /// More addresses of a rule are withdrawn at once than the spec's `max_shrink`
    Shrink,
    /// A region that was never seen counts as one without instances
    Partial,
}

/// How a plan is consented to and carried out.
#[derive(Debug, Clone, Args)]
pub struct ConsentArgs {
    /// Do not ask; accepts impacts up to downtime
    #[arg(long)]
    pub yes: bool,
    /// Do not ask, and carry out the plan of this hash and no other, whatever its impact
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub expect: Option<String>,
    /// The worst impact that is accepted
    #[arg(long, value_enum, value_name = "IMPACT")]
    pub max_impact: Option<MaxImpact>,
    /// How many calls may be under way at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallelism: u16,
    /// Where the journal of calls is kept [default: the state directory, or beside the world file]
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
}

/// The hash of a plan: 64 hexadecimal digits, as every rendering prints them.
fn hash(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_lowercase();
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text);
    }
    Err("a plan's hash has 64 hexadecimal digits, as `plan` and `show` print them".to_owned())
}

/// What becomes of a command whose stack is locked.
#[derive(Debug, Clone, Args)]
pub struct LockArgs {
    /// How long to wait for the stack's lock while another run holds it: `30s`, `10m`; then the exit code is 75
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = Seconds::read)]
    pub lock_timeout: Seconds,
}

/// The worst impact that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MaxImpact {
    /// Nobody notices
    None,
    /// Connections break and can be made again
    Reconnect,
    /// Something does not answer for a while
    Downtime,
    /// Data that the spec does not describe is lost
    DataLoss,
}

impl From<MaxImpact> for Impact {
    fn from(max: MaxImpact) -> Self {
        match max {
            MaxImpact::None => Self::None,
            MaxImpact::Reconnect => Self::Reconnect,
            MaxImpact::Downtime => Self::Downtime,
            MaxImpact::DataLoss => Self::DataLoss,
        }
    }
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// A form for people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For machines
    Json,
}

/// The form of a plan.
#[derive(Debug, Clone, Copy, Args)]
pub struct PlanForm {
    /// The form of the plan
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
    /// How long Markdown may get: beyond it the mildest details are left out, and never what goes or is lost [default: 60000]
    #[arg(long, value_name = "BYTES")]
    pub budget: Option<usize>,
}

/// The form of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// For machines
    Json,
    /// For a comment on a pull request
    Markdown,
}

/// `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Which spec
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The form of the problems
    #[arg(long, value_enum, default_value_t = ProblemFormat::Text)]
    pub format: ProblemFormat,
}

/// The form of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProblemFormat {
    /// For people
    Text,
    /// For machines
    Json,
    /// For code scanning
    Sarif,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Which spec
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Which world
    #[command(flatten)]
    pub world: WorldArgs,
    /// What the plan is restricted to
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Plan against a snapshot that `observe --format json` wrote, offline
    #[arg(long, value_name = "FILE", conflicts_with_all = ["world", "profile", "all_regions"])]
    pub snapshot: Option<PathBuf>,
    /// Plan what `destroy` would do
    #[arg(long, conflicts_with = "snapshot")]
    pub destroy: bool,
    /// Keep the plan in FILE too, as JSON, for `show` and `apply`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The form of the plan
    #[command(flatten)]
    pub form: PlanForm,
    /// Exit with 2 when changes are pending
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// A file that `plan --out` wrote
    #[arg(value_name = "PLANFILE")]
    pub file: PathBuf,
    /// The form of the plan
    #[command(flatten)]
    pub form: PlanForm,
}

/// `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// TOML or JSON files, or directories of them, merged in this order; or one plan that `plan --out` kept
    #[arg(value_name = "SPEC... | PLANFILE", required = true)]
    pub specs: Vec<PathBuf>,
    /// Beside a kept plan: the spec it was made from, for secrets, which no plan holds, and for a second look when it is
    /// applied (may be repeated)
    #[arg(long, value_name = "SPEC")]
    pub spec: Vec<PathBuf>,
    /// Which world
    #[command(flatten)]
    pub world: WorldArgs,
    /// What the plan is restricted to
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// How it is consented to and carried out
    #[command(flatten)]
    pub consent: ConsentArgs,
    /// What becomes of it while another run holds the lock
    #[command(flatten)]
    pub lock: LockArgs,
    /// The form of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `destroy`.
#[derive(Debug, Args)]
pub struct Destroy {
    /// Which spec
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Which world
    #[command(flatten)]
    pub world: WorldArgs,
    /// Which risks are accepted
    #[command(flatten)]
    pub risks: RiskArgs,
    /// How it is consented to and carried out
    #[command(flatten)]
    pub consent: ConsentArgs,
    /// What becomes of it while another run holds the lock
    #[command(flatten)]
    pub lock: LockArgs,
    /// The form of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `observe`.
#[derive(Debug, Args)]
pub struct Observe {
    /// Which spec
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Which world
    #[command(flatten)]
    pub world: WorldArgs,
    /// Look at every region that is enabled for the account
    #[arg(long)]
    pub all_regions: bool,
    /// The form of the snapshot
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `forget`.
#[derive(Debug, Args)]
pub struct Forget {
    /// Which spec, then the address
    #[arg(value_name = "SPEC... ADDR", required = true, num_args = 2..)]
    pub words: Vec<String>,
    /// Which world
    #[command(flatten)]
    pub world: WorldArgs,
    /// What becomes of it while another run holds the lock
    #[command(flatten)]
    pub lock: LockArgs,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `firewall`.
#[derive(Debug, Args)]
pub struct Firewall {
    /// What to do with the change
    #[arg(value_enum)]
    pub verdict: FirewallVerdict,
    /// Which spec, then the address
    #[arg(value_name = "SPEC... ADDR", required = true, num_args = 2..)]
    pub words: Vec<String>,
    /// Which world
    #[command(flatten)]
    pub world: WorldArgs,
}

/// What to do with a change that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FirewallVerdict {
    /// Say what waits, by whom, and until when
    Pending,
    /// Keep it: that this connects anew proves that one still can
    Confirm,
    /// Take it back now
    Rollback,
}

/// `lock`.
#[derive(Debug, Args)]
pub struct Lock {
    /// What to do
    #[command(subcommand)]
    pub action: LockAction,
}

/// What to do with a lock.
#[derive(Debug, Subcommand)]
pub enum LockAction {
    /// Say who holds the stack's lock, since when, and in which run
    Show(LockShow),
    /// End a lease in a bucket whose run is dead; a lock on this machine ends with its process
    Break(LockBreak),
}

impl Lock {
    /// Whether it is about a simulated world.
    #[must_use]
    pub const fn simulated(&self) -> bool {
        match &self.action {
            LockAction::Show(args) => args.world.world.is_some(),
            LockAction::Break(args) => args.world.world.is_some(),
        }
    }
}

/// `lock show`.
#[derive(Debug, Args)]
pub struct LockShow {
    /// Which spec
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Which world
    #[command(flatten)]
    pub world: WorldArgs,
    /// The form of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `lock break`.
#[derive(Debug, Args)]
pub struct LockBreak {
    /// Which spec
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Which world
    #[command(flatten)]
    pub world: WorldArgs,
    /// Which lock, as `lock show` names it: no other is ended
    #[arg(long)]
    pub id: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `graph`.
#[derive(Debug, Args)]
pub struct Graph {
    /// A spec, or one file that `plan --out` wrote
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Which world
    #[command(flatten)]
    pub world: WorldArgs,
    /// The language of the graph
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub format: GraphFormat,
}

/// The language of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Graphviz
    Dot,
    /// Mermaid, which code hosts draw
    Mermaid,
    /// Plain text, each edge with its reason
    Text,
}

/// `permissions`.
#[derive(Debug, Args)]
pub struct Permissions {
    /// Which spec
    #[command(flatten)]
    pub spec: SpecArgs,
    /// What whoever has the policy may do
    #[arg(long = "for", value_enum, value_name = "WHAT", default_value_t = PermissionsFor::Apply)]
    pub purpose: PermissionsFor,
}

/// What whoever has a policy may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PermissionsFor {
    /// Plan and observe: nothing is changed
    Plan,
    /// Plan, observe and apply
    Apply,
    /// Destroy: remove what the stack owns, in whatever region it is
    Destroy,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Which document
    #[arg(value_enum, default_value_t = Document::Spec)]
    pub document: Document,
}

/// Documents that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// What a user writes
    Spec,
    /// What `plan --format json` prints
    Plan,
    /// What `observe --format json` prints
    Snapshot,
    /// What `apply --format json` prints
    Outcome,
    /// A line of the journal
    Journal,
    /// The file of a simulated world
    World,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
