//! What a user may write of a key pair, and what AWS would refuse of it.

use std::collections::BTreeSet;

use schemars::JsonSchema;

use super::public_key::PublicKey;
use super::state::Desired;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Output, Region};
use crate::resources::decode::{At, Fields};
use crate::resources::shape;
use crate::resources::spec::{Claim, Lowered, Lowering, Outline, Written};
use crate::resources::values::TextOrFile;

/// A key pair: a public key that instances are launched with.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "key_pair", deny_unknown_fields)]
pub struct Spec {
    /// The public key, an OpenSSH line with an RSA or ED25519 key, or a file that holds it.
    #[schemars(with = "shape::TextOrFileShape")]
    public_key: TextOrFile,
    /// A literal name; a generated one when absent.
    #[schemars(with = "Option<String>", length(min = 1, max = 255))]
    name: Option<At<String>>,
    /// The regions it is imported in; its own when absent.
    #[schemars(with = "Option<Vec<shape::RegionText>>", length(min = 1))]
    regions: Option<At<Vec<At<Region>>>>,
}

impl Written for Spec {
    type Desired = Desired;
    const WHAT: &'static str = "a key pair";
    const OUTPUTS: &'static [Output] = &[];
    const MANY: bool = false;
    const FOR_OTHERS: bool = true;

    fn read(fields: &mut Fields<'_>, problems: &mut Diagnostics) -> Option<Self> {
        let public_key = fields.required("public_key", problems);
        let name: Option<At<String>> = fields.optional("name", problems);
        let regions: Option<At<Vec<At<Region>>>> = fields.optional("regions", problems);
        if let Some(name) = &name {
            check_name(name, problems);
        }
        if let Some(regions) = &regions {
            check_regions(regions, problems);
        }
        Some(Self { public_key: public_key?, name, regions })
    }

    fn outline(&self) -> Outline {
        let regions = self.regions.as_ref().map(|list| list.value.iter().map(|region| region.value.clone()).collect());
        Outline { regions, ..Outline::default() }
    }

    fn lower(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Vec<Lowered<Desired>> {
        let Some(public_key) = self.key(cx, problems) else { return Vec::new() };
        let name = self.name.as_ref().map(|name| name.value.clone());
        let want = Desired { public_key, name };
        let claims = |region: &Region| {
            let claim =
                |name: &At<String>| Claim { what: format!("the key name `{}` in {region}", name.value), at: name.span };
            self.name.iter().map(claim).collect()
        };
        match &self.regions {
            None => vec![Lowered { name: cx.name.clone(), region: None, want, claims: claims(cx.region) }],
            Some(regions) => regions
                .value
                .iter()
                .map(|region| Lowered {
                    name: cx.name.in_region(region.value.as_str()),
                    region: Some(region.value.clone()),
                    want: want.clone(),
                    claims: claims(&region.value),
                })
                .collect(),
        }
    }
}

impl Spec {
    /// The key, from where it stands.
    fn key(&self, cx: &Lowering<'_>, problems: &mut Diagnostics) -> Option<PublicKey> {
        let (text, span) = match &self.public_key {
            TextOrFile::Text(text) => (text.value.clone(), text.span),
            TextOrFile::File(path) => {
                let bytes = cx.texts.file(path, problems)?;
                match String::from_utf8(bytes) {
                    Ok(text) => (text, path.span),
                    Err(_) => return problems.fail(Diagnostic::error("public-key", path.span, "the file is not text")),
                }
            }
        };
        match PublicKey::read(&text) {
            Ok(key) => Some(key),
            Err(why) => problems.fail(Diagnostic::error("public-key", span, why)),
        }
    }
}

/// What AWS says of key names
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportKeyPair.html>).
fn check_name(name: &At<String>, problems: &mut Diagnostics) {
    if name.value.is_empty() || name.value.len() > 255 {
        problems.push(Diagnostic::error("name", name.span, "a key name has 1 to 255 characters"));
    } else if !name.value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        problems.push(Diagnostic::error("name", name.span, "a key name has ASCII characters only"));
    } else if name.value.trim() != name.value {
        problems.push(Diagnostic::error("name", name.span, "a key name has no spaces at its ends"));
    }
}

fn check_regions(regions: &At<Vec<At<Region>>>, problems: &mut Diagnostics) {
    if regions.value.is_empty() {
        problems.push(
            Diagnostic::error("empty", regions.span, "a key pair lives in at least one region")
                .hint("leave `regions` out for the default one"),
        );
    }
    let mut seen = BTreeSet::new();
    for region in &regions.value {
        if !seen.insert(&region.value) {
            problems.push(Diagnostic::error("twice", region.span, format!("`{}` stands here twice", region.value)));
        }
    }
}
