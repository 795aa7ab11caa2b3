//! The boot volume as written.

use schemars::JsonSchema;

use super::super::state::RootVolume;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::duration::Gibibytes;
use crate::model::tree::{Node, Span};
use crate::resources::decode::{At, Decode, Fields, one_of};
use crate::resources::shape;

/// The volume it boots from; what is left out is as the image says.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "root_volume", deny_unknown_fields)]
pub(super) struct VolumeSpec {
    /// Its size, `20GiB`.
    #[schemars(with = "Option<shape::SizeText>")]
    size: Option<At<Gibibytes>>,
    /// The volume type.
    #[schemars(with = "Option<VolumeTypeShape>", rename = "type")]
    volume_type: Option<VolumeType>,
    /// Operations a second; gp3, io1 and io2 only.
    #[schemars(with = "Option<u32>", range(min = 100, max = 256_000))]
    iops: Option<At<u32>>,
    /// MiB a second; gp3 only.
    #[schemars(with = "Option<u32>", range(min = 125, max = 1000))]
    throughput: Option<At<u32>>,
    /// Whether it is encrypted; as the account says when absent.
    encrypted: Option<bool>,
    /// The key it is encrypted with: id, alias or ARN. Needs `encrypted = true`.
    #[schemars(with = "Option<String>", length(min = 1))]
    kms_key: Option<At<String>>,
    /// Whether it goes with the instance; true when absent.
    delete_on_termination: Option<bool>,
}

shape::shapes! {
    /// A volume type that can be booted from.
    VolumeTypeShape = { "type": "string", "enum": ["gp3", "gp2", "io1", "io2", "standard"] };
}

/// Volume types that can be booted from
/// (<https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VolumeType {
    Gp3,
    Gp2,
    Io1,
    Io2,
    Standard,
}

/// What a volume type takes.
struct Limits {
    size: (u32, u32),
    iops: Option<(u32, u32)>,
    throughput: Option<(u32, u32)>,
}

impl VolumeType {
    const WORDS: [(&'static str, Self); 5] =
        [("gp3", Self::Gp3), ("gp2", Self::Gp2), ("io1", Self::Io1), ("io2", Self::Io2), ("standard", Self::Standard)];

    const fn word(self) -> &'static str {
        match self {
            Self::Gp3 => "gp3",
            Self::Gp2 => "gp2",
            Self::Io1 => "io1",
            Self::Io2 => "io2",
            Self::Standard => "standard",
        }
    }

    const fn limits(self) -> Limits {
        match self {
            Self::Gp3 => Limits { size: (1, 16_384), iops: Some((3000, 16_000)), throughput: Some((125, 1000)) },
            Self::Gp2 => Limits { size: (1, 16_384), iops: None, throughput: None },
            Self::Io1 => Limits { size: (4, 16_384), iops: Some((100, 64_000)), throughput: None },
            Self::Io2 => Limits { size: (4, 65_536), iops: Some((100, 256_000)), throughput: None },
            Self::Standard => Limits { size: (1, 1024), iops: None, throughput: None },
        }
    }

    const fn needs_iops(self) -> bool {
        match self {
            Self::Io1 | Self::Io2 => true,
            Self::Gp3 | Self::Gp2 | Self::Standard => false,
        }
    }
}

impl Decode for u32 {
    fn decode(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        crate::resources::decode::within(node, "this", 0..=i64::from(Self::MAX), problems)
    }
}

impl VolumeSpec {
    /// Reads it.
    pub(super) fn read(node: &Node, problems: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a root volume", problems)?;
        let volume_type = fields.node("type").map(|node| read_type(node, problems));
        let spec = Self {
            size: fields.optional("size", problems),
            iops: fields.optional("iops", problems),
            throughput: fields.optional("throughput", problems),
            encrypted: fields.optional("encrypted", problems),
            kms_key: fields.optional("kms_key", problems),
            delete_on_termination: fields.optional("delete_on_termination", problems),
            volume_type: volume_type.flatten(),
        };
        fields.finish(problems);
        match volume_type {
            None => spec.check_untyped(problems),
            Some(Some(volume_type)) => spec.check(volume_type, node.span, problems),
            Some(None) => {}
        }
        spec.check_key(problems);
        Some(spec)
    }

    fn check_untyped(&self, problems: &mut Diagnostics) {
        for (key, field) in [("iops", &self.iops), ("throughput", &self.throughput)] {
            if let Some(field) = field {
                let problem =
                    Diagnostic::error("combination", field.span, format!("`{key}` needs a `type` that takes it"));
                problems.push(problem.hint("say `type = \"gp3\"` too"));
            }
        }
        if let Some(size) = self.size.as_ref().filter(|size| !(1..=65_536).contains(&size.value.0)) {
            problems.push(Diagnostic::error("out-of-range", size.span, "a volume has 1GiB to 65536GiB"));
        }
    }

    fn check(&self, volume_type: VolumeType, at: Span, problems: &mut Diagnostics) {
        let (word, limits) = (volume_type.word(), volume_type.limits());
        let (least, most) = limits.size;
        if let Some(size) = self.size.as_ref().filter(|size| !(least..=most).contains(&size.value.0)) {
            let message = format!("a {word} volume has {least}GiB to {most}GiB");
            problems.push(Diagnostic::error("out-of-range", size.span, message));
        }
        for (key, field, range) in
            [("iops", &self.iops, limits.iops), ("throughput", &self.throughput, limits.throughput)]
        {
            match (field, range) {
                (Some(field), None) => {
                    let message = format!("a {word} volume takes no `{key}`");
                    problems.push(Diagnostic::error("combination", field.span, message).hint("leave it out"));
                }
                (Some(field), Some((least, most))) if !(least..=most).contains(&field.value) => {
                    let message = format!("a {word} volume has {least} to {most} {key}");
                    problems.push(Diagnostic::error("out-of-range", field.span, message));
                }
                (Some(_) | None, _) => {}
            }
        }
        if self.iops.is_none() && volume_type.needs_iops() {
            problems.push(Diagnostic::error("missing-key", at, format!("a {word} volume needs `iops`")));
        }
        self.check_ratios(volume_type, problems);
    }

    /// What AWS allows of one number by another: 500 operations a GiB on gp3, 50 on io1, 1000 on io2; a quarter of a MiB a
    /// second an operation.
    fn check_ratios(&self, volume_type: VolumeType, problems: &mut Diagnostics) {
        let a_gibibyte = match volume_type {
            VolumeType::Gp3 => 500,
            VolumeType::Io1 => 50,
            VolumeType::Io2 => 1000,
            VolumeType::Gp2 | VolumeType::Standard => return,
        };
        if let (Some(iops), Some(size)) = (&self.iops, &self.size) {
            // gp3 has 3000 whatever its size.
            let most =
                size.value.0.saturating_mul(a_gibibyte).max(if volume_type == VolumeType::Gp3 { 3000 } else { 100 });
            if iops.value > most {
                let message = format!("a {} volume of {} has at most {most} iops", volume_type.word(), size.value);
                problems.push(Diagnostic::error("combination", iops.span, message).also(size.span, "its size"));
            }
        }
        if let (VolumeType::Gp3, Some(throughput)) = (volume_type, &self.throughput) {
            let iops = self.iops.as_ref().map_or(3000, |iops| iops.value);
            if throughput.value > iops / 4 {
                let message = format!("{iops} iops carry at most {} MiB a second", iops / 4);
                let needed = throughput.value.saturating_mul(4);
                problems.push(
                    Diagnostic::error("combination", throughput.span, message)
                        .hint(format!("say `iops = {needed}` too")),
                );
            }
        }
    }

    fn check_key(&self, problems: &mut Diagnostics) {
        if let Some(key) = self.kms_key.as_ref().filter(|key| key.value.is_empty()) {
            problems.push(Diagnostic::error("empty", key.span, "`kms_key` is empty").hint("leave it out"));
        }
        if let (Some(key), None | Some(false)) = (&self.kms_key, self.encrypted) {
            let problem = Diagnostic::error("combination", key.span, "`kms_key` needs `encrypted = true`");
            problems.push(problem.hint("say it beside the key"));
        }
    }

    /// What is wanted.
    pub(super) fn lower(&self) -> RootVolume {
        let Self { size, volume_type, iops, throughput, encrypted, kms_key, delete_on_termination } = self;
        RootVolume {
            size: size.as_ref().map(|size| size.value),
            volume_type: volume_type.map(|word| word.word().to_owned()),
            iops: iops.as_ref().map(|iops| iops.value),
            throughput: throughput.as_ref().map(|throughput| throughput.value),
            encrypted: *encrypted,
            kms_key: kms_key.as_ref().map(|key| key.value.clone()),
            delete_on_termination: *delete_on_termination,
        }
    }
}

fn read_type(node: &Node, problems: &mut Diagnostics) -> Option<VolumeType> {
    let text = String::decode(node, problems)?;
    if matches!(text.to_ascii_lowercase().as_str(), "st1" | "sc1") {
        let message = format!("an instance cannot boot from {text}");
        return problems.fail(Diagnostic::error("volume-type", node.span, message).hint("use gp3"));
    }
    one_of(node, &VolumeType::WORDS, problems)
}
