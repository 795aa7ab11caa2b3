//! The lease as a table and as a property, its keeper on a clock that only a test moves, and the lock on this machine.

mod keeping;
mod locals;
mod machine;

use jiff::Timestamp;

use super::{Holder, Process};
use crate::model::{AccountId, StackName};

/// Somebody who wants a lock.
fn holder(name: &str) -> Holder {
    Holder {
        id: format!("{name}-id"),
        command: "apply".to_owned(),
        stack: StackName::new("shop").unwrap(),
        account: Some(AccountId::new("123456789012").unwrap()),
        user: name.to_owned(),
        host: "runner".to_owned(),
        process: Process::own(),
        since: "2026-06-01T00:00:00Z".parse::<Timestamp>().unwrap(),
        run: Some(format!("https://ci.example/{name}")),
    }
}
