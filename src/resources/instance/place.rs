//! Where an instance is made: members take turns.

use super::state::Desired;
use crate::resources::snapshot::{Facts, Subnet};
use crate::resources::{Context, Refusal, RefusalKind};

/// The subnet for one that is made now: the one that holds its fixed address, else its turn.
pub(super) fn chosen<'a>(want: &Desired, cx: &Context<'a>) -> Option<&'a Subnet> {
    let candidates = want.place.candidates(cx)?;
    let found = match want.private_ip {
        Some(address) => candidates.iter().find(|subnet| Facts::contains(subnet, address.into())),
        None => {
            let turn = usize::try_from(want.index).unwrap_or(0).checked_rem(candidates.len());
            turn.and_then(|turn| candidates.get(turn))
        }
    };
    if found.is_none() {
        let message = match want.private_ip {
            Some(address) => format!("no subnet that it may use holds {address}"),
            None => "the network has no subnet that it may use".to_owned(),
        };
        cx.refuse(Refusal::new(RefusalKind::Lookup, cx.at, message).hint("name `subnets`, here or in `[network]`"));
    }
    found.copied()
}
