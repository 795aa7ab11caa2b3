//! The lock of several machines, on moto's S3: each stage is a machine, and no lock of one is seen by another.

use serde_json::Value;
use tokio::process::Child;

use portcullis::lock::s3::Bucket;
use portcullis::lock::store::{Put, Store, Tag, When};
use portcullis::model::LeasePlace;
use portcullis::model::duration::Seconds;

use super::until_stopped;
use crate::support::binary::{Stage, Told};
use crate::support::moto;
use crate::support::proxy::{Fault, Hold, Proxy};
use crate::weather::{signal, until_it_says};

/// A stack of its own, a bucket of its own, and two machines before one proxy.
struct Scene {
    proxy: Proxy,
    ann: Stage,
    bob: Stage,
}

impl Scene {
    async fn new(stack: &str, ttl: &str) -> Self {
        moto::bucket(&format!("locks-{stack}"));
        let proxy = Proxy::before(moto::port()).await;
        let spec = format!(
            "stack = \"{stack}\"\nregion = \"eu-north-1\"\nlock = {{ s3 = \"locks-{stack}/all\", ttl = \"{ttl}\" }}\n\
             [security_group.web]\n[elastic_ip.edge]\ninstance = \"web\"\n\
             [instance.web]\nimage = \"ami-0123456789abcdef0\"\ntype = \"t3.small\"\nsecurity_groups = [\"web\"]\n"
        );
        let machine = |user: &str| {
            let stage = Stage::before(proxy.port).with("USER", user);
            let stage = stage.with("CI_JOB_URL", &format!("https://gitlab.example/{user}"));
            stage.write("spec.toml", &spec);
            stage
        };
        let (ann, bob) = (machine("ann"), machine("bob"));
        Self { proxy, ann, bob }
    }

    /// Ann's apply, held back in the middle of it.
    async fn begun(&self) -> Child {
        self.proxy.hold("AllocateAddress", Hold::Before);
        let ann = self.ann.command(&["apply", "spec.toml", "--yes"]).spawn().expect("the binary");
        self.proxy.until_held(1).await;
        ann
    }

    async fn applies(&self, who: &Stage) -> Told {
        who.run(&["apply", "spec.toml", "--yes"]).await
    }

    async fn lease(&self) -> Value {
        let told = self.bob.run(&["lock", "show", "spec.toml", "--format", "json"]).await.exits(0);
        told.json().pointer("/lease").expect("a lease").clone()
    }
}

fn place(bucket: &str) -> LeasePlace {
    LeasePlace { bucket: bucket.to_owned(), prefix: "a/b".to_owned(), region: None, ttl: Seconds(60) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_keeps_to_conditions_and_tells_ages() {
    moto::bucket("locks-contract");
    let config = moto::settings(moto::port(), "us-east-1").await;
    let bucket = Bucket::with_config(&config, &place("locks-contract"), false);
    assert_eq!(bucket.place("x"), "s3://locks-contract/a/b/x");
    let put = |text: &str, when| bucket.put("x", text.as_bytes().to_vec(), when);
    assert_eq!(bucket.get("x").await, Ok(None));
    assert_eq!(put("0", When::Is(Tag("\"0123\"".to_owned()))).await, Ok(Put::Gone));
    let Ok(Put::Written(first)) = put("1", When::Absent).await else { panic!("it was not written") };
    assert_eq!(put("2", When::Absent).await, Ok(Put::Refused));
    let seen = bucket.get("x").await.expect("an answer").expect("an object");
    assert_eq!((seen.bytes.as_slice(), &seen.tag), (&b"1"[..], &first));
    assert!(seen.age.is_some_and(|age| age.as_secs() < 60), "{:?}", seen.age);
    let Ok(Put::Written(second)) = put("3", When::Is(first.clone())).await else { panic!("it was not written") };
    assert_ne!(first, second);
    assert_eq!(put("4", When::Is(first)).await, Ok(Put::Refused));
    let nowhere = Bucket::with_config(&config, &place("locks-nowhere"), false);
    let error = nowhere.put("x", Vec::new(), When::Absent).await.expect_err("there is none");
    assert_eq!((error.code.as_deref(), error.passing), (Some("NoSuchBucket"), false), "{error}");
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("make the bucket `locks-nowhere`")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_machines_exclude_each_other() {
    let scene = Scene::new("lock-two", "60s").await;
    let ann = scene.begun().await;
    let told = scene.applies(&scene.bob).await.exits(75).says("error: stack `lock-two` is locked by ann@");
    let told = told.says("https://gitlab.example/ann (`s3://locks-lock-two/all/123456789012-lock-two.lock`)");
    let told = told.says("unless it is renewed; if that run is certainly dead, `portcullis lock break SPEC... --id ");
    assert_eq!(told.out, "");
    let lease = scene.lease().await;
    assert_eq!((&lease["held"], &lease["epoch"]), (&Value::Bool(true), &1.into()), "{lease}");
    let text = scene.bob.run(&["lock", "show", "spec.toml"]).await.exits(0).out;
    for words in ["on this machine: free", "in the bucket: held by ann@", "it ends in ", "unless it is renewed"] {
        assert!(text.contains(words), "{text}");
    }
    scene.bob.run(&["plan", "spec.toml"]).await.exits(0);
    let lock = ["lock", "break", "spec.toml", "--id", "0123456789abcdef"];
    scene.bob.run(&lock).await.exits(64).says("say `--yes`");
    let told = scene.bob.run(&[&lock[..], &["--yes"]].concat()).await.exits(3);
    told.says("is another one by now");
    scene.proxy.release();
    let told = Told::of(ann.wait_with_output().await.expect("an end")).exits(0);
    assert!(told.out.contains("A second plan is empty"), "{told}");
    scene.applies(&scene.bob).await.exits(0);
    let lease = scene.lease().await;
    assert_eq!((&lease["held"], &lease["epoch"]), (&Value::Bool(false), &2.into()), "{lease}");
    let told = scene.bob.run(&[&lock[..], &["--yes"]].concat()).await.exits(3);
    told.says("nobody holds the lock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_of_a_dead_runner_is_taken_over_when_its_time_is_over() {
    let scene = Scene::new("lock-dead", "60s").await;
    let mut ann = scene.begun().await;
    signal(&ann, "-KILL");
    assert_eq!(ann.wait().await.expect("an end").code(), None);
    scene.proxy.release();
    scene.applies(&scene.bob).await.exits(75).says("is locked by ann@");
    scene.proxy.age_objects(3600);
    let told = scene.applies(&scene.bob).await.exits(0).says("note: took the lock over from ann@");
    assert!(told.talk.contains("https://gitlab.example/ann, which did not renew it"), "{told}");
    scene.bob.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);
    assert_eq!(scene.lease().await["epoch"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_broken_stops_new_steps() {
    let scene = Scene::new("lock-broken", "15s").await;
    let mut ann = scene.begun().await;
    let id = scene.lease().await.pointer("/holder/id").and_then(Value::as_str).expect("an id").to_owned();
    let told = scene.bob.run(&["lock", "break", "spec.toml", "--id", &id, "--yes"]).await.exits(0);
    assert!(told.out.contains("which ann@"), "{told}");
    let talk = until_it_says(&mut ann, "the stack's lock is lost: bob@").await;
    scene.proxy.release();
    assert_eq!(ann.wait().await.expect("an end").code(), Some(5));
    let talk = talk.await.expect("text");
    assert!(talk.contains("broke it; nothing new is started"), "{talk}");
    assert_eq!(scene.proxy.seen("AllocateAddress"), 1, "what was under way is awaited");
    assert_eq!(scene.proxy.seen("AssociateAddress"), 0, "and nothing follows it");
    let told = scene.applies(&scene.bob).await.exits(0).says("note: bob@");
    told.says("broke the lock of ann@");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_suspended_too_long_does_not_get_it_back() {
    let scene = Scene::new("lock-paused", "15s").await;
    let mut ann = scene.begun().await;
    signal(&ann, "-STOP");
    until_stopped(ann.id().expect("it runs"));
    scene.proxy.age_objects(3600);
    // Nothing is to be done there, and the lock is taken all the same.
    let told = scene.bob.run(&["apply", "spec.toml", "--yes", "--target", "security_group.web"]).await.exits(0);
    told.says("note: took the lock over from ann@");
    scene.proxy.age_objects(0);
    signal(&ann, "-CONT");
    let talk = until_it_says(&mut ann, "the stack's lock is lost: bob@").await;
    scene.proxy.release();
    assert_eq!(ann.wait().await.expect("an end").code(), Some(5));
    let talk = talk.await.expect("text");
    assert!(talk.contains("took it over when it was not renewed in time"), "{talk}");
    assert_eq!(scene.proxy.seen("AssociateAddress"), 0, "nothing new was started");
    assert_eq!(scene.lease().await["held"], false, "what it had not was not given back");
    scene.applies(&scene.ann).await.exits(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_not_know_conditions_is_not_trusted() {
    for (stack, header) in [("lock-blind", "If-None-Match"), ("lock-deaf", "If-Match")] {
        let scene = Scene::new(stack, "60s").await;
        scene.proxy.overhear(header);
        let told = scene.applies(&scene.ann).await.exits(3);
        told.says("the store of the stack's lock cannot be trusted")
            .says(header)
            .says("hint: such a store keeps nobody");
        let asked = scene.proxy.count();
        assert!(asked.keys().all(|api| api == "GetCallerIdentity" || api == "PutObject"), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_and_lost_answers_are_no_holders() {
    let scene = Scene::new("lock-rough", "60s").await;
    for _ in 0..2 {
        scene.proxy.fault("PutObject", Fault::Refused(409, "ConditionalRequestConflict"));
    }
    scene.proxy.fault("PutObject", Fault::LostReply);
    scene.applies(&scene.ann).await.exits(0);
    scene.proxy.fault("GetObject", Fault::Html);
    scene.applies(&scene.bob).await.exits(0);
    scene.proxy.always("PutObject", Fault::Refused(403, "AccessDenied"));
    let told = scene.applies(&scene.bob).await.exits(1).says("the stack's lock cannot be reached: s3:PutObject of");
    told.says("hint: allow the IAM action `s3:PutObject` on `arn:aws:s3:::locks-lock-rough/all/*`");
}
