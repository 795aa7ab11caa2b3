//! A plan that is made in one clone of a repository is applied by its hash in another, on moto, while a third interferes.

use serde_json::Value;

use crate::support::binary::{Stage, Told};
use crate::support::moto;
use crate::support::proxy::{Hold, Proxy};

const REGION: &str = "eu-central-1";

/// Three clones, each on a machine of its own: who plans, who applies, and who interferes.
struct Clones {
    proxy: Proxy,
    author: Stage,
    applier: Stage,
    third: Stage,
}

impl Clones {
    async fn new() -> Self {
        moto::bucket("locks-clones");
        let proxy = Proxy::before(moto::port()).await;
        let clone = |user: &str| {
            let stage = Stage::before(proxy.port).with("USER", user).with("KEY", "the reviewers' key");
            stage.write("spec.toml", &spec("80"));
            stage.write("boot.sh", "#!/bin/sh\necho a secret\n");
            stage
        };
        let (author, applier, third) = (clone("author"), clone("applier"), clone("third"));
        Self { proxy, author, applier, third }
    }

    /// The author plans, and the plan comes to the one who applies; its hash.
    async fn planned(&self) -> String {
        self.author.run(&["plan", "spec.toml", "--out", "plan.json"]).await.exits(0);
        self.applier.write("plan.json", &self.author.read("plan.json"));
        hash(&self.author)
    }

    async fn applies(&self, who: &Stage, plan: &str, hash: &str) -> Told {
        who.run(&["apply", plan, "--expect", hash, "--spec", "spec.toml"]).await
    }

    /// What the stack owns, by address.
    async fn owned(&self) -> Vec<(String, String)> {
        let seen = self.author.run(&["observe", "spec.toml", "--format", "json"]).await.exits(0).json();
        let objects = seen["snapshot"]["objects"].as_array().expect("objects").iter();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let mut owned: Vec<_> = objects
            .filter(|object| object["tags"]["portcullis:stack"] == "clones")
            .map(|object| (text(&object["tags"]["portcullis:address"]), text(&object["id"])))
            .collect();
        owned.sort();
        owned
    }
}

fn spec(port: &str) -> String {
    format!(
        "stack = \"clones\"\nregion = \"{REGION}\"\nlock = {{ s3 = \"locks-clones\" }}\nfingerprint_key = {{ env = \"KEY\" }}\n\
         [security_group.web]\ningress = [{{ ports = {port}, from = \"0.0.0.0/0\" }}]\n\
         [elastic_ip.edge]\ninstance = \"web\"\n\
         [instance.web]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"web\"]\n\
         user_data = {{ file = \"boot.sh\", sensitive = true }}\n"
    )
}

/// The hash of a clone's plan.
fn hash(stage: &Stage) -> String {
    let plan: Value = serde_json::from_str(&stage.read("plan.json")).expect("a plan");
    plan["hash"].as_str().expect("a hash").to_owned()
}

/// A group of somebody else's, which looks like one of ours.
fn make_look_alike() -> String {
    let told = moto::ec2(
        REGION,
        "Action=CreateSecurityGroup&GroupName=clones-web-2&GroupDescription=x&TagSpecification.1.ResourceType=security-group\
         &TagSpecification.1.Tag.1.Key=portcullis:address&TagSpecification.1.Tag.1.Value=security_group.web\
         &TagSpecification.1.Tag.2.Key=portcullis:stack&TagSpecification.1.Tag.2.Value=Clones",
    );
    let (_, rest) = told.split_once("<groupId>").unwrap_or_else(|| panic!("{told}"));
    rest.split_once('<').expect("an id").0.to_owned()
}

/// Opens or closes a port of a group past the binary.
fn change_rule(group: &str, how: &str, port: u16) {
    let told = moto::ec2(
        REGION,
        &format!(
            "Action={how}SecurityGroupIngress&GroupId={group}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort={port}\
             &IpPermissions.1.ToPort={port}&IpPermissions.1.IpRanges.1.CidrIp=198.51.100.0/24"
        ),
    );
    assert!(told.contains("<return>true</return>"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_made_in_one_clone_is_applied_by_hash_in_another_while_a_third_interferes() {
    let clones = Clones::new().await;
    let approved = clones.planned().await;
    assert!(!clones.applier.read("plan.json").contains("a secret"));

    // The third puts a plan of its own in the place of the approved one.
    clones.third.write("spec.toml", &spec("[22, 80]"));
    clones.third.run(&["plan", "spec.toml", "--out", "plan.json"]).await.exits(0);
    assert_ne!(hash(&clones.third), approved);
    clones.applier.write("forged.json", &clones.third.read("plan.json"));
    clones.applies(&clones.applier, "forged.json", &approved).await.exits(4).says("not the plan that was expected");
    let relabelled = clones.third.read("plan.json").replace(&hash(&clones.third), &approved);
    clones.applier.write("forged.json", &relabelled);
    clones.applies(&clones.applier, "forged.json", &approved).await.exits(1).says("not as it was written");
    assert_eq!(clones.owned().await, []);

    // Whatever it does elsewhere in the account makes nothing stale; while the plan is applied it is kept out.
    let look_alike = make_look_alike();
    clones.proxy.hold("AllocateAddress", Hold::Before);
    let mut apply = clones.applier.command(&["apply", "plan.json", "--expect", &approved, "--spec", "spec.toml"]);
    let apply = apply.spawn().expect("the binary");
    clones.proxy.until_held(1).await;
    for words in [&["apply", "spec.toml", "--yes"][..], &["destroy", "spec.toml", "--yes"]] {
        clones.third.run(words).await.exits(75).says("stack `clones` is locked by applier@");
    }
    change_rule(&look_alike, "Authorize", 2222);
    clones.proxy.release();
    let told = Told::of(apply.wait_with_output().await.expect("an end")).exits(0);
    assert!(told.out.contains("A second plan is empty."), "{told}");
    let owned = clones.owned().await;
    let addresses: Vec<&str> = owned.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(addresses, ["elastic_ip.edge", "instance.web", "security_group.web"]);

    // The same plan once more makes nothing twice.
    clones.third.write("spec.toml", &spec("80"));
    clones.third.write("plan.json", &clones.applier.read("plan.json"));
    clones
        .applies(&clones.third, "plan.json", &approved)
        .await
        .exits(4)
        .says("instance.web: object was nothing, and is i-");
    assert_eq!(clones.owned().await, owned);

    // The next plan stands on the group, and the third opens a port of it by hand.
    for stage in [&clones.author, &clones.applier] {
        stage.write("spec.toml", &spec("443"));
    }
    let approved = clones.planned().await;
    let (_, group) = owned.last().expect("a group");
    change_rule(group, "Authorize", 2222);
    let told = clones.applies(&clones.applier, "plan.json", &approved).await.exits(4);
    told.says(&format!("security_group.web {group}: rules.sgr-")).says("198.51.100.0/24");
    change_rule(group, "Revoke", 2222);
    let told = clones.applies(&clones.applier, "plan.json", &approved).await.exits(0);
    assert!(told.out.contains("A second plan is empty."), "{told}");
    assert_eq!(clones.owned().await, owned);
    let rules = moto::ec2(REGION, &format!("Action=DescribeSecurityGroups&GroupId.1={look_alike}"));
    assert!(rules.contains("<fromPort>2222</fromPort>"), "somebody else's group is as it was left: {rules}");
}
