//! The command line: reads arguments, files and the environment, calls the rows in their order, and ends with a code.
//!
//! One file a command. Nothing below this module prints, exits, or knows that there is a terminal.

use clap::Parser;
use clap::error::ErrorKind;

pub mod apply;
pub mod args;
pub mod carry;
pub mod console;
pub mod documents;
pub mod exit;
pub mod files;
pub mod firewall;
pub mod forget;
pub mod journal;
pub mod kept;
pub mod load;
pub mod lock;
pub mod locking;
pub mod observe;
pub mod permissions;
pub mod plan;
pub mod policy;
pub mod session;
pub mod signals;
pub mod validate;
pub mod world;

use args::{Cli, Command};
use console::Console;
use exit::Exit;

/// Runs the command of this process.
#[must_use]
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(why) => {
            let _ = why.print();
            return match why.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
                _ => Exit::Usage,
            };
        }
    };
    let console = Console::new(cli.color);
    match run(&cli.command, &console) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn run(command: &Command, console: &Console) -> Result<Exit, Exit> {
    match command {
        Command::Validate(args) => validate::run(args, console),
        Command::Show(args) => plan::show(args, console),
        Command::Schema(args) => Ok(documents::schema(args, console)),
        Command::Completions(args) => Ok(documents::completions(args, console)),
        Command::Permissions(args) => permissions::run(args, console),
        Command::Man => Ok(documents::man(console)),
        Command::Plan(args) => block_on(args.world.world.is_some(), console, plan::run(args, console)),
        Command::Apply(args) => block_on(args.world.world.is_some(), console, apply::run(args, console)),
        Command::Destroy(args) => block_on(args.world.world.is_some(), console, apply::destroy(args, console)),
        Command::Observe(args) => block_on(args.world.world.is_some(), console, observe::run(args, console)),
        Command::Forget(args) => block_on(args.world.world.is_some(), console, forget::run(args, console)),
        Command::Firewall(args) => block_on(args.world.world.is_some(), console, firewall::run(args, console)),
        Command::Lock(args) => block_on(args.simulated(), console, lock::run(&args.action, console)),
        Command::Graph(args) => block_on(args.world.world.is_some(), console, plan::graph(args, console)),
    }
}

/// Runs what waits for a world. The simulated one answers at once and in order, so one thread makes its ids and its clock
/// the same every time; AWS's answers are read on all cores.
fn block_on<F: Future<Output = Result<Exit, Exit>>>(
    simulated: bool,
    console: &Console,
    future: F,
) -> Result<Exit, Exit> {
    let mut builder = if simulated {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(why) => Err(console.error(&format!("the runtime cannot be started: {why}"), None)),
    }
}
