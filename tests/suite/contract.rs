//! What every provider must do: one table of stories, told to each of them.
//!
//! A story is a list of calls with what each must answer, and of looks at what is there then. A provider that differs
//! from AWS is named in the step that shows it, with what it does instead.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::task::Poll;

use portcullis::model::duration::Seconds;
use portcullis::model::id::{ImageId, VpcId};
use portcullis::model::{Address, CloudId, Kind, Link, Output, Owner, Region, StackName, Tags};
use portcullis::port::{Bindings, Class, Provider, Scope, Wanted};
use portcullis::provider::sim::Sim;
use portcullis::resources::registry::{Action, Body, Call, Object};
use portcullis::resources::snapshot::{Answer, Image, Question, Snapshot, Subnet};
use portcullis::resources::world::World;
use portcullis::resources::{Read, elastic_ip, instance, key_pair, load_balancer, security_group};

mod stories;

#[tokio::test]
async fn the_contract_holds_on_the_simulated_world() {
    let region = Region::new("eu-west-1").expect("a region");
    let image = Image {
        id: ImageId::new("ami-0a0a0a0a0a0a0a0a0"),
        name: "debian-12-amd64-20260101".to_owned(),
        owner: "136693071363".to_owned(),
        architecture: "x86_64".to_owned(),
        created: "2026-01-01T00:00:00.000Z".to_owned(),
        root_device: "/dev/sda1".to_owned(),
    };
    let mut world = World::default();
    // A region that lists images has no others, as a real one.
    world.region_mut(&region).set_images(vec![image.clone()]);
    let place = Place { subject: Subject::Faithful, region, image: image.id, prefix: "story".to_owned() };
    contract(&Sim::in_memory(world), &place).await;
}

/// Who is told the stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// moto, behind the proxy that restores some of AWS's rules.
    Moto,
    /// The simulated world, or AWS itself: no deviation is allowed.
    Faithful,
}

/// Where the stories are told.
#[derive(Debug, Clone)]
pub struct Place {
    /// Who is told.
    pub subject: Subject,
    /// In a region with a default VPC.
    pub region: Region,
    /// An image that is there.
    pub image: ImageId,
    /// What the stacks' names begin with.
    pub prefix: String,
}

/// What a call must answer.
#[derive(Debug, Clone)]
pub enum Expect {
    /// It succeeds, and tells exactly these outputs.
    Tells(Vec<Output>),
    /// It is refused.
    Refused(Class),
}

/// One step of a story.
pub enum Step {
    /// A call.
    Call(Box<dyn Fn(&Seen) -> Call + Send + Sync>, Expect),
    /// Something that must be true of what is listed.
    Look(&'static str, Box<dyn Fn(&Seen) -> bool + Send + Sync>),
    /// Something that must be true of an answer.
    Ask(&'static str, Box<dyn Fn(&Seen) -> Question + Send + Sync>, Box<dyn Fn(&Seen, &Answer) -> bool + Send + Sync>),
    /// A step in which moto differs from AWS, as the text says.
    NotOnMoto(&'static str, Box<Self>),
}

/// A story.
pub struct Story {
    /// What it is about.
    pub name: &'static str,
    /// Foreign objects that are looked for, as kind and what they are called; `{…}` stands for an output.
    pub named: Vec<(Kind, &'static str)>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// What is known in the course of a story.
pub struct Seen {
    /// Where.
    pub place: Place,
    /// Whose.
    pub stack: StackName,
    /// What the calls gave.
    pub known: Bindings,
    /// What is there now.
    pub now: Snapshot,
}

/// Tells every story, side by side. Each has a stack of its own; all that fails is told at the end.
pub async fn contract<P: Provider>(provider: &P, place: &Place) {
    let stories = stories::all();
    let mut telling: Vec<_> = stories
        .iter()
        .enumerate()
        .map(|(number, story)| {
            let stack = StackName::new(&format!("{}-{number}", place.prefix)).expect("a stack");
            let mut seen = Seen { place: place.clone(), stack, known: Bindings::default(), now: Snapshot::default() };
            Some(Box::pin(async move {
                tell(provider, &mut seen, story).await.map_err(|why| format!("{}: {why}", story.name))
            }))
        })
        .collect();
    let mut failures = Vec::new();
    std::future::poll_fn(|cx| {
        for slot in &mut telling {
            if let Some(Poll::Ready(end)) = slot.as_mut().map(|story| story.as_mut().poll(cx)) {
                failures.extend(end.err());
                *slot = None;
            }
        }
        if telling.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

async fn tell<P: Provider>(provider: &P, seen: &mut Seen, story: &Story) -> Result<(), String> {
    seen.now = observe(provider, seen, story).await?;
    for (number, step) in story.steps.iter().enumerate() {
        let step = match step {
            Step::NotOnMoto(why, _) if seen.place.subject == Subject::Moto => {
                assert!(!why.is_empty(), "a deviation has a reason");
                continue;
            }
            Step::NotOnMoto(_, step) => step,
            step => step,
        };
        take(provider, seen, story, step).await.map_err(|why| format!("step {}: {why}", number + 1))?;
    }
    Ok(())
}

async fn take<P: Provider>(provider: &P, seen: &mut Seen, story: &Story, step: &Step) -> Result<(), String> {
    match step {
        Step::Call(call, expect) => {
            let call = call(seen);
            let answer = provider.perform(&call, &seen.known).await;
            match (answer, expect) {
                (Ok(outputs), Expect::Tells(wanted)) => {
                    let told: Vec<Output> = outputs.keys().copied().collect();
                    let wanted: Vec<Output> = wanted.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
                    if told != wanted {
                        return Err(format!("told {told:?}, not {wanted:?}: {:?}", call.action));
                    }
                    seen.known.bind(&call.at, outputs);
                }
                (Err(error), Expect::Refused(class)) if error.class == *class => {}
                (answer, expect) => return Err(format!("{expect:?} expected, {answer:?} came: {:?}", call.action)),
            }
            seen.now = observe(provider, seen, story).await?;
            Ok(())
        }
        Step::Look(what, look) => {
            if look(seen) {
                return Ok(());
            }
            Err(format!("not so: {what}\n{:#?}", seen.now.objects))
        }
        Step::Ask(what, question, judge) => {
            let question = question(seen);
            let asked = BTreeSet::from([question.clone()]);
            let answers = provider.inquire(&asked).await.map_err(|error| error.to_string())?;
            let answer = answers.get(&question).ok_or("no answer")?;
            if judge(seen, answer) { Ok(()) } else { Err(format!("not so: {what}: {answer:?}")) }
        }
        Step::NotOnMoto(..) => Err("a deviation within a deviation".to_owned()),
    }
}

async fn observe<P: Provider>(provider: &P, seen: &Seen, story: &Story) -> Result<Snapshot, String> {
    let wanted = |(kind, called): &(Kind, &str)| Wanted {
        kind: *kind,
        region: seen.place.region.clone(),
        called: seen.fill(called),
    };
    let scope = Scope {
        stack: seen.stack.clone(),
        regions: BTreeSet::from([seen.place.region.clone()]),
        all_regions: false,
        named: story.named.iter().map(wanted).collect(),
        reads: BTreeSet::new(),
        fleet: BTreeSet::new(),
        hosts: BTreeMap::new(),
    };
    let snapshot = provider.observe(&scope).await.map_err(|error| error.to_string())?;
    for object in snapshot.objects.iter().filter(|object| object.tags.contains_key("portcullis:stack")) {
        // Whatever was listed must read back alone, the same.
        let again = provider.reread(object.kind(), &object.region, &object.id).await.map_err(|e| e.to_string())?;
        if again.as_ref() != Some(object) {
            return Err(format!("read again, {object:#?} is {again:#?}"));
        }
    }
    let whole = Scope { reads: [Read::Vpcs, Read::Volumes].into(), ..scope };
    provider.observe(&whole).await.map_err(|error| error.to_string())
}

impl Seen {
    /// A text in which `{kind.name}` is the id that was made at an address.
    fn fill(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once('{') else { return text.replace("STACK", self.stack.as_str()) };
        let Some((at, after)) = rest.split_once('}') else { return text.to_owned() };
        let id = self.known.output(&address(at), Output::Id).unwrap_or("nothing");
        format!("{before}{id}{after}")
    }

    /// The tags of generation 1 at an address.
    pub fn tags(&self, at: &str) -> Tags {
        self.tags_of(at, 1)
    }

    /// The tags of a generation at an address.
    pub fn tags_of(&self, at: &str, generation: u32) -> Tags {
        let stack = self.stack.as_str().to_owned();
        let mut tags = Owner { stack, address: address(at), generation, origin: None }.tags();
        tags.insert("team".to_owned(), "a b".to_owned());
        tags
    }

    /// A name of the stack's own.
    pub fn name(&self, base: &str) -> String {
        format!("{}-{base}", self.stack)
    }

    /// A call, on what was made at its address.
    pub fn call(&self, at: &str, action: Action, seconds: u64) -> Call {
        Call { at: address(at), region: self.place.region.clone(), on: None, action, timeout: Seconds(seconds) }
    }

    /// The id of what was made at an address.
    pub fn id(&self, at: &str) -> CloudId {
        CloudId::new(self.known.output(&address(at), Output::Id).expect("made before"))
    }

    /// The object at an address.
    pub fn object(&self, at: &str) -> Option<&Object> {
        let id = self.known.output(&address(at), Output::Id)?;
        self.now.objects.iter().find(|object| object.id.as_str() == id)
    }

    /// The group at an address.
    pub fn group(&self, at: &str) -> Option<&security_group::Observed> {
        match &self.object(at)?.body {
            Body::SecurityGroup(group) => Some(group),
            _ => None,
        }
    }

    /// The instance at an address.
    pub fn instance(&self, at: &str) -> Option<&instance::Observed> {
        match &self.object(at)?.body {
            Body::Instance(instance) => Some(instance),
            _ => None,
        }
    }

    /// The Elastic IP at an address.
    pub fn elastic_ip(&self, at: &str) -> Option<&elastic_ip::Observed> {
        match &self.object(at)?.body {
            Body::ElasticIp(elastic_ip) => Some(elastic_ip),
            _ => None,
        }
    }

    /// The key pair at an address.
    pub fn key_pair(&self, at: &str) -> Option<&key_pair::Observed> {
        match &self.object(at)?.body {
            Body::KeyPair(key_pair) => Some(key_pair),
            _ => None,
        }
    }

    /// The load balancer at an address.
    pub fn load_balancer(&self, at: &str) -> Option<&load_balancer::Observed> {
        match &self.object(at)?.body {
            Body::LoadBalancer(load_balancer) => Some(load_balancer),
            _ => None,
        }
    }

    /// The region's default VPC.
    pub fn vpc(&self) -> VpcId {
        let vpcs = &self.now.facts[&self.place.region].vpcs;
        vpcs.iter().find(|vpc| vpc.default).expect("a default VPC").id.clone()
    }

    /// Its first default subnet.
    pub fn subnet(&self) -> Subnet {
        self.subnets().remove(0)
    }

    /// Its default subnets, one a zone.
    pub fn subnets(&self) -> Vec<Subnet> {
        let subnets = &self.now.facts[&self.place.region].subnets;
        subnets.iter().filter(|subnet| subnet.default).cloned().collect()
    }
}

/// An address by its text.
pub fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

/// A link to what was made at an address.
pub fn link(text: &str) -> Link {
    Link::Planned(address(text))
}

/// A call that must succeed and tell these outputs.
pub fn does(outputs: &[Output], call: impl Fn(&Seen) -> Call + Send + Sync + 'static) -> Step {
    Step::Call(Box::new(call), Expect::Tells(outputs.to_vec()))
}

/// A call that must be refused.
pub fn refuses(class: Class, call: impl Fn(&Seen) -> Call + Send + Sync + 'static) -> Step {
    Step::Call(Box::new(call), Expect::Refused(class))
}

/// Something that must be true now.
pub fn holds(what: &'static str, look: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Step {
    Step::Look(what, Box::new(look))
}

/// Something that must be true of an answer.
pub fn answers(
    what: &'static str,
    question: impl Fn(&Seen) -> Question + Send + Sync + 'static,
    judge: impl Fn(&Seen, &Answer) -> bool + Send + Sync + 'static,
) -> Step {
    Step::Ask(what, Box::new(question), Box::new(judge))
}

/// A step in which moto differs.
pub fn not_on_moto(why: &'static str, step: Step) -> Step {
    Step::NotOnMoto(why, Box::new(step))
}

/// Tags as a map of our own, for edits.
pub fn pairs(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
}
