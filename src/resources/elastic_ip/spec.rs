//! What a user may write of an Elastic IP, and what AWS would refuse of it.

use schemars::JsonSchema;

use super::state::Desired;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::id::well_formed;
use crate::model::{CloudId, Kind, Output, Reference};
use crate::resources::decode::{At, Fields};
use crate::resources::spec::{Claim, Lowered, Lowering, Outline, Written};

/// An Elastic IP address.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "elastic_ip", deny_unknown_fields)]
pub struct Spec {
    /// The instance that answers on it: a single one, a member, or the id of a foreign one.
    #[schemars(with = "Option<String>")]
    instance: Option<At<String>>,
    /// The pool of one's own that it comes from.
    #[schemars(with = "Option<String>", length(min = 1))]
    public_ip_pool: Option<At<String>>,
    /// The network border group it is announced from.
    #[schemars(with = "Option<String>", length(min = 1))]
    border_group: Option<At<String>>,
}

impl Written for Spec {
    type Desired = Desired;
    const WHAT: &'static str = "an Elastic IP";
    const OUTPUTS: &'static [Output] = &[Output::Id, Output::PublicIp];
    const MANY: bool = false;
    const FOR_OTHERS: bool = false;

    fn read(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Self> {
        let spec = Self {
            instance: fields.optional("instance", problems),
            public_ip_pool: fields.optional("public_ip_pool", problems),
            border_group: fields.optional("border_group", problems),
        };
        for text in [&spec.public_ip_pool, &spec.border_group].into_iter().flatten() {
            if text.value.is_empty() {
                problems.push(Diagnostic::error("empty", text.span, "this is empty").hint("leave the field out"));
            }
        }
        Some(spec)
    }

    fn outline(&self) -> Outline {
        Outline::default()
    }

    fn lower(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Desired>> {
        self.check_border_group(cx, problems);
        let instance = self.instance.as_ref().and_then(|name| lower_instance(name, cx, problems));
        let claims = self.instance.iter().zip(&instance).map(|(name, reference)| Claim {
            what: match reference {
                Reference::Address(address) => format!("the public address of `{address}`"),
                Reference::Existing(id) => format!("the public address of `{id}`"),
            },
            at: name.span,
        });
        let claims = claims.collect();
        let text = |text: &Option<At<String>>| text.as_ref().map(|text| text.value.clone());
        let want =
            Desired { public_ip_pool: text(&self.public_ip_pool), border_group: text(&self.border_group), instance };
        vec![Lowered { name: cx.name.clone(), region: None, want, claims }]
    }
}

impl Spec {
    /// A border group's name begins with its region's
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AllocateAddress.html>).
    fn check_border_group(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) {
        let Some(group) = &self.border_group else { return };
        if !group.value.is_empty() && !group.value.starts_with(cx.region.as_str()) {
            let message = format!("`{}` is no border group of {}", group.value, cx.region);
            problems.push(Diagnostic::error("border-group", group.span, message));
        }
    }
}

fn lower_instance(name: &At<String>, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Option<Reference> {
    if well_formed(&name.value, "i-") {
        return Some(Reference::Existing(CloudId::new(name.value.as_str())));
    }
    cx.same_region(Kind::Instance, &name.as_deref(), problems);
    cx.one(Kind::Instance, &name.as_deref(), problems).map(Reference::Address)
}
