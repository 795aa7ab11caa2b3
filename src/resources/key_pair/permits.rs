//! Which API actions a key pair needs.

use super::Desired;
use crate::resources::Common;
use crate::resources::permissions::{Need, On, Permits};

const KEY_PAIR: &str = "key-pair";

/// What listing takes.
pub(super) fn listing(permits: &mut Permits) {
    permits.read(Need::Read, &["ec2:DescribeKeyPairs"]);
}

/// What one takes.
pub(super) fn of(want: &Desired, common: &Common, permits: &mut Permits) {
    let Desired { public_key: _, name: _ } = want;
    permits.create("ec2:ImportKeyPair", &[On::Ec2(KEY_PAIR)]);
    permits.tag_new(Need::Make, "ImportKeyPair");
    permits.own(Need::Remove, &["ec2:DeleteKeyPair"], &[On::Ec2(KEY_PAIR)]);
    permits.tags(KEY_PAIR, "key-", common);
}
