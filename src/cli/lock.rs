//! `lock`: who holds a stack's lock, and the end of a lease whose holder is gone.

use super::args::{Format, LockAction, LockBreak, LockShow};
use super::console::Console;
use super::exit::Exit;
use super::plan::json;
use super::{load, locking, world};
use crate::lock::{local, place};
use crate::model::AccountId;
use crate::report::lock as words;
use crate::resources::stack::Stack;

/// Runs the command.
///
/// # Errors
/// The exit that says what went wrong.
pub async fn run(action: &LockAction, console: &Console) -> Result<Exit, Exit> {
    match action {
        LockAction::Show(args) => show(args, console).await,
        LockAction::Break(args) => break_open(args, console).await,
    }
}

/// Says who holds the locks. It takes none.
async fn show(args: &LockShow, console: &Console) -> Result<Exit, Exit> {
    let stack = load::stack(&args.spec.specs, &args.world, console).await?;
    let opened = world::open(&args.world, &stack, 1, console).await?;
    let account = locking::account(&opened);
    let path = match &args.world.world {
        Some(file) => place::beside(file).map_err(|why| {
            let hint = "the folder of a world file must be there";
            console.error(&format!("the lock of `{}` cannot be looked at: {why}", file.display()), Some(hint))
        })?,
        None => locking::folder(console)?.join(place::file(account.as_ref(), &stack.name)),
    };
    let found = local::look(&path).map_err(|refused| locking::say_unusable(refused, console))?;
    let local = words::local(path.display().to_string(), found.as_ref());
    let lease = match (&stack.lock, &args.world.world) {
        (Some(_), None) => Some(lease(args, &stack, account.as_ref(), console).await?),
        _ => None,
    };
    let doc =
        words::LockDoc { format_version: words::FORMAT_VERSION, stack: stack.name.clone(), account, local, lease };
    match args.format {
        Format::Text => console.result(&words::terminal(&doc)),
        Format::Json => console.result(&format!("{}\n", json(&doc))),
    }
    Ok(Exit::Done)
}

#[cfg(feature = "s3")]
async fn lease(
    args: &LockShow,
    stack: &Stack,
    account: Option<&AccountId>,
    console: &Console,
) -> Result<words::LockStateDoc, Exit> {
    use crate::lock::keeper;
    use crate::lock::store::Store;
    let Some(at) = &stack.lock else { return Err(Exit::Error) };
    let bucket = locking::bucket(at, &args.world, stack).await;
    let name = locking::lease_name(account, &stack.name);
    let seen = keeper::look(&bucket, &name).await;
    let seen = seen.map_err(|refused| locking::say_refused(&stack.name, refused, console))?;
    Ok(words::lease(bucket.place(&name), seen.as_ref()))
}

#[cfg(not(feature = "s3"))]
#[expect(clippy::unused_async, reason = "it waits where there is a bucket to ask")]
async fn lease(_: &LockShow, _: &Stack, _: Option<&AccountId>, console: &Console) -> Result<words::LockStateDoc, Exit> {
    Err(locking::without_s3(console))
}

/// Ends a lease, if it is still the one that was shown.
async fn break_open(args: &LockBreak, console: &Console) -> Result<Exit, Exit> {
    let stack = load::stack(&args.spec.specs, &args.world, console).await?;
    if stack.lock.is_none() || args.world.world.is_some() {
        let hint = "it ends with its process: `portcullis lock show` names that, and `kill` ends it";
        console.complain("a lock on this machine cannot be broken", Some(hint));
        return Err(Exit::Refused);
    }
    consent(args, &stack, console)?;
    let opened = world::open(&args.world, &stack, 1, console).await?;
    broken(args, &stack, locking::account(&opened).as_ref(), console).await
}

/// Asks, unless the command line says yes.
fn consent(args: &LockBreak, stack: &Stack, console: &Console) -> Result<(), Exit> {
    if args.yes {
        return Ok(());
    }
    if !console.can_ask() {
        console.complain("nobody is there to ask, and nothing was accepted beforehand", Some("say `--yes`"));
        return Err(Exit::Usage);
    }
    let text = format!(
        "Ends the lock {} of stack `{}`. Its holder, if there is one, may be in the middle of a call.",
        args.id, stack.name
    );
    console.talk(&text);
    if console.ask("Break it? Type `yes` to go on:").as_deref() == Some("yes") {
        return Ok(());
    }
    console.talk("Nothing was changed.");
    Err(Exit::Declined)
}

#[cfg(feature = "s3")]
async fn broken(args: &LockBreak, stack: &Stack, account: Option<&AccountId>, console: &Console) -> Result<Exit, Exit> {
    use crate::lock::keeper::{self, Broken};
    let Some(at) = &stack.lock else { return Err(Exit::Error) };
    let bucket = locking::bucket(at, &args.world, stack).await;
    let name = locking::lease_name(account, &stack.name);
    let ended = keeper::break_open(&bucket, &name, &args.id, &locking::myself()).await;
    match ended.map_err(|refused| locking::say_refused(&stack.name, refused, console))? {
        Broken::Done(record) => {
            console.result(&words::broken(&stack.name, &record.holder));
            Ok(Exit::Done)
        }
        Broken::Free => {
            console.complain(&format!("nobody holds the lock of stack `{}`", stack.name), None);
            Err(Exit::Refused)
        }
        Broken::Other(record) => {
            let message = format!("the lock of stack `{}` is another one by now: {}", stack.name, record.holder.id);
            console.complain(&message, Some("`portcullis lock show` says who holds it"));
            Err(Exit::Refused)
        }
    }
}

#[cfg(not(feature = "s3"))]
#[expect(clippy::unused_async, reason = "it waits where there is a bucket to ask")]
async fn broken(_: &LockBreak, _: &Stack, _: Option<&AccountId>, console: &Console) -> Result<Exit, Exit> {
    Err(locking::without_s3(console))
}
