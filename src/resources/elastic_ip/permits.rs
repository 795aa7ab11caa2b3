//! Which API actions an Elastic IP needs.

use super::Desired;
use crate::model::Reference;
use crate::resources::Common;
use crate::resources::permissions::{Need, On, Permits};

const ADDRESS: &str = "elastic-ip";

/// What listing takes.
pub(super) fn listing(permits: &mut Permits) {
    permits.read(Need::Read, &["ec2:DescribeAddresses"]);
}

/// What one takes.
pub(super) fn of(want: &Desired, common: &Common, permits: &mut Permits) {
    let Desired { instance, public_ip_pool, border_group: _ } = want;
    let address = [On::Ec2(ADDRESS)];
    permits.create("ec2:AllocateAddress", &address);
    permits.tag_new(Need::Make, "AllocateAddress");
    if let Some(pool) = public_ip_pool {
        permits.beside(
            Need::Make,
            "AllocateFrom",
            &["ec2:AllocateAddress"],
            &[On::Ec2One("ipv4pool-ec2", pool.clone())],
        );
    }
    if let Some(instance) = instance {
        associate(instance, permits);
    }
    // The address is ours; whoever it is taken from need not be.
    let holders = [On::Ec2("instance"), On::Ec2("network-interface")];
    for need in [Need::Change, Need::Remove] {
        permits.own(need, &["ec2:DisassociateAddress"], &address);
        permits.beside(need, "TakeAddressFrom", &["ec2:DisassociateAddress"], &holders);
    }
    permits.own(Need::Remove, &["ec2:ReleaseAddress"], &address);
    permits.tags(ADDRESS, "eipalloc-", common);
}

/// An instance of the spec carries the stack's tag. Its interface does where we launched it, and not where it was adopted.
fn associate(instance: &Reference, permits: &mut Permits) {
    let action = ["ec2:AssociateAddress"];
    permits.own(Need::Change, &action, &[On::Ec2(ADDRESS)]);
    permits.beside(Need::Change, "GiveAddressTo", &action, &[On::Ec2("network-interface")]);
    match instance {
        Reference::Address(_) => permits.own(Need::Change, &action, &[On::Ec2("instance")]),
        Reference::Existing(id) => {
            permits.beside(Need::Change, "GiveAddressTo", &action, &[On::Ec2One("instance", id.to_string())]);
        }
    }
}
