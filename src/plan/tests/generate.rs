//! Random stacks: a blueprint is drawn from a tape of numbers, changed by chance, and lowered into what the spec would say.
//!
//! A tape shrinks well: shorter tapes and smaller numbers give smaller stacks, and a tape that ran out says "the simplest".

use std::collections::BTreeMap;

use crate::model::{Address, Output};
use crate::resources::key_pair::public_key::PublicKey;

use super::at;

mod hosts;
mod lower;

/// Numbers that decide everything.
pub(super) struct Tape<'a> {
    rest: std::slice::Iter<'a, u16>,
}

impl<'a> Tape<'a> {
    pub(super) fn new(numbers: &'a [u16]) -> Self {
        Self { rest: numbers.iter() }
    }

    /// One of `count`; the first when the tape has run out.
    pub(super) fn pick(&mut self, count: usize) -> usize {
        usize::from(self.rest.next().copied().unwrap_or(0)) % count.max(1)
    }

    /// Yes in so many of a hundred; no when the tape has run out.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.pick(100) >= 100 - percent
    }

    fn maybe<T>(&mut self, percent: usize, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(percent).then(|| some(self))
    }
}

/// A stack before its names are resolved: what is named and not there is left out when it is lowered.
#[derive(Debug, Clone, Default)]
pub(super) struct Blueprint {
    keys: BTreeMap<usize, Key>,
    groups: BTreeMap<usize, Firewall>,
    addresses: BTreeMap<usize, Elastic>,
    machines: BTreeMap<usize, Machine>,
    balancers: BTreeMap<usize, Balancer>,
    hosts: BTreeMap<usize, hosts::Gate>,
}

#[derive(Debug, Clone, Default)]
struct Extra {
    team: Option<usize>,
    keep: bool,
    protect: bool,
}

#[derive(Debug, Clone)]
struct Key {
    material: usize,
    literal: Option<usize>,
    extra: Extra,
}

#[derive(Debug, Clone)]
struct Firewall {
    literal: Option<usize>,
    description: usize,
    additive: bool,
    ingress: Vec<Opening>,
    egress: Option<Vec<Opening>>,
    extra: Extra,
}

#[derive(Debug, Clone)]
struct Opening {
    port: usize,
    peer: Other,
    description: Option<usize>,
    expires: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
enum Other {
    Net(usize),
    Group(usize),
    Own,
    Private(usize, usize),
    Public(usize, usize),
    Elastic(usize),
}

#[derive(Debug, Clone)]
struct Elastic {
    machine: Option<(usize, usize)>,
    pool: Option<usize>,
    extra: Extra,
}

#[derive(Debug, Clone)]
struct Machine {
    count: Option<u32>,
    max_unavailable: u32,
    image: usize,
    size: usize,
    size_change: usize,
    groups: Option<Vec<usize>>,
    key: Option<usize>,
    zones: Vec<usize>,
    private_ip: Option<usize>,
    no_public_ip: bool,
    data: Option<Data>,
    data_change: usize,
    disk: Option<usize>,
    disk_kind: Option<usize>,
    encrypted: Option<bool>,
    plain: [bool; 5],
    profile: Option<usize>,
    extra: Extra,
}

#[derive(Debug, Clone)]
struct Data {
    text: usize,
    sensitive: bool,
    holes: Vec<Hole>,
}

#[derive(Debug, Clone, Copy)]
enum Hole {
    Machine { which: usize, member: usize, output: Output },
    Elastic(usize),
    GroupId(usize),
    KeyName(usize),
}

#[derive(Debug, Clone)]
struct Balancer {
    literal: Option<usize>,
    internal: bool,
    groups: Option<Vec<usize>>,
    further_zones: bool,
    listeners: Vec<(usize, usize, usize)>,
    members: Vec<(usize, Option<usize>)>,
    spare: Option<usize>,
    additive: bool,
    draining: Option<usize>,
    check: usize,
    plain: [bool; 3],
    extra: Extra,
}

impl Balancer {
    fn listeners(tape: &mut Tape<'_>) -> Vec<(usize, usize, usize)> {
        (0..=tape.pick(3)).map(|_| (tape.pick(3), tape.pick(2), tape.pick(4))).collect()
    }

    fn members(tape: &mut Tape<'_>) -> Vec<(usize, Option<usize>)> {
        (0..=tape.pick(3)).map(|_| (tape.pick(3), tape.maybe(30, |tape| tape.pick(3)))).collect()
    }

    fn draw(tape: &mut Tape<'_>) -> Self {
        Self {
            literal: tape.maybe(15, |tape| tape.pick(2)),
            internal: tape.chance(15),
            groups: tape.maybe(70, |tape| (0..=tape.pick(2)).map(|_| tape.pick(4)).collect()),
            further_zones: tape.chance(30),
            listeners: Self::listeners(tape),
            members: Self::members(tape),
            spare: tape.maybe(30, |tape| tape.pick(4)),
            additive: tape.chance(20),
            draining: tape.maybe(70, |tape| tape.pick(2)),
            check: tape.pick(3),
            plain: [tape.chance(20), tape.chance(20), tape.chance(20)],
            extra: Extra::draw(tape),
        }
    }
}

impl Extra {
    fn draw(tape: &mut Tape<'_>) -> Self {
        Self { team: tape.maybe(20, |tape| tape.pick(3)), keep: tape.chance(5), protect: tape.chance(1) }
    }
}

impl Key {
    fn draw(tape: &mut Tape<'_>) -> Self {
        Self { material: tape.pick(3), literal: tape.maybe(40, |tape| tape.pick(2)), extra: Extra::draw(tape) }
    }
}

impl Opening {
    fn draw(tape: &mut Tape<'_>) -> Self {
        let peer = match tape.pick(9) {
            0 | 1 => Other::Net(tape.pick(4)),
            2 | 3 => Other::Group(tape.pick(4)),
            4 => Other::Own,
            5 | 6 => Other::Private(tape.pick(3), tape.pick(3)),
            7 => Other::Public(tape.pick(3), tape.pick(3)),
            _ => Other::Elastic(tape.pick(3)),
        };
        Self {
            port: tape.pick(4),
            peer,
            description: tape.maybe(20, |tape| tape.pick(2)),
            expires: tape.maybe(10, |tape| tape.chance(50)),
        }
    }

    fn several(tape: &mut Tape<'_>, most: usize) -> Vec<Self> {
        (0..tape.pick(most + 1)).map(|_| Self::draw(tape)).collect()
    }
}

impl Firewall {
    fn draw(tape: &mut Tape<'_>) -> Self {
        Self {
            literal: tape.maybe(15, |tape| tape.pick(3)),
            description: tape.pick(2),
            additive: tape.chance(25),
            ingress: Opening::several(tape, 3),
            egress: tape.maybe(35, |tape| Opening::several(tape, 2)),
            extra: Extra::draw(tape),
        }
    }
}

impl Elastic {
    fn draw(tape: &mut Tape<'_>) -> Self {
        Self {
            machine: tape.maybe(75, |tape| (tape.pick(3), tape.pick(3))),
            pool: tape.maybe(10, |tape| tape.pick(2)),
            extra: Extra::draw(tape),
        }
    }
}

impl Data {
    fn draw(tape: &mut Tape<'_>) -> Self {
        Self {
            text: tape.pick(3),
            sensitive: tape.chance(15),
            holes: (0..tape.pick(3)).map(|_| Hole::draw(tape)).collect(),
        }
    }
}

impl Hole {
    fn draw(tape: &mut Tape<'_>) -> Self {
        match tape.pick(7) {
            0..=3 => {
                let outputs = [
                    Output::PrivateIp,
                    Output::PublicIp,
                    Output::PublicDns,
                    Output::Id,
                    Output::Zone,
                    Output::PrivateDns,
                ];
                Self::Machine { which: tape.pick(3), member: tape.pick(3), output: outputs[tape.pick(6)] }
            }
            4 => Self::Elastic(tape.pick(3)),
            5 => Self::GroupId(tape.pick(4)),
            _ => Self::KeyName(tape.pick(2)),
        }
    }
}

impl Machine {
    fn draw(tape: &mut Tape<'_>) -> Self {
        Self {
            count: tape.maybe(50, |tape| u32::try_from(1 + tape.pick(3)).unwrap()),
            max_unavailable: u32::try_from(1 + tape.pick(2)).unwrap(),
            image: tape.pick(3),
            size: tape.pick(3),
            size_change: tape.pick(2),
            groups: tape.maybe(80, |tape| (0..=tape.pick(2)).map(|_| tape.pick(4)).collect()),
            key: tape.maybe(50, |tape| tape.pick(2)),
            zones: (0..tape.pick(3)).map(|_| tape.pick(3)).collect(),
            private_ip: tape.maybe(10, |tape| tape.pick(3)),
            no_public_ip: tape.chance(10),
            data: tape.maybe(60, Data::draw),
            data_change: tape.pick(3),
            disk: tape.maybe(30, |tape| tape.pick(3)),
            disk_kind: tape.maybe(20, |tape| tape.pick(2)),
            encrypted: tape.maybe(15, |tape| tape.chance(50)),
            plain: [tape.chance(20), tape.chance(20), tape.chance(20), tape.chance(20), tape.chance(20)],
            profile: tape.maybe(20, |tape| tape.pick(2)),
            extra: Extra::draw(tape),
        }
    }

    /// The members that it has, by name.
    fn members(&self, which: usize) -> Vec<Address> {
        match self.count {
            None => vec![at(&format!("instance.m{which}"))],
            Some(count) => (0..count).map(|index| at(&format!("instance.m{which}-{index}"))).collect(),
        }
    }
}

impl Blueprint {
    /// Draws a whole stack.
    pub(super) fn draw(tape: &mut Tape<'_>) -> Self {
        let mut print = Self::default();
        for which in 0..4 {
            if tape.chance(65) {
                print.groups.insert(which, Firewall::draw(tape));
            }
        }
        for which in 0..3 {
            if tape.chance(60) {
                print.machines.insert(which, Machine::draw(tape));
            }
        }
        for which in 0..3 {
            if tape.chance(50) {
                print.addresses.insert(which, Elastic::draw(tape));
            }
        }
        for which in 0..2 {
            if tape.chance(60) {
                print.keys.insert(which, Key::draw(tape));
            }
        }
        for which in 0..2 {
            if tape.chance(50) {
                print.balancers.insert(which, Balancer::draw(tape));
            }
        }
        for which in 0..2 {
            if tape.chance(50) {
                print.hosts.insert(which, hosts::Gate::draw(tape));
            }
        }
        print
    }

    /// Another stack of the same name: mostly with a few changes, seldom a fresh one.
    pub(super) fn vary(&self, tape: &mut Tape<'_>) -> Self {
        if tape.chance(10) {
            return Self::draw(tape);
        }
        let mut print = self.clone();
        for _ in 0..=tape.pick(5) {
            print.change(tape);
        }
        print
    }

    fn change(&mut self, tape: &mut Tape<'_>) {
        match tape.pick(15) {
            0..=2 => self.change_group(tape),
            3..=6 => self.change_machine(tape),
            7 | 8 => self.change_address(tape),
            9 => self.change_key(tape),
            10..=12 => self.change_balancer(tape),
            _ => self.change_host(tape),
        }
    }

    fn change_group(&mut self, tape: &mut Tape<'_>) {
        let which = tape.pick(4);
        match self.groups.get_mut(&which) {
            None => {
                self.groups.insert(which, Firewall::draw(tape));
            }
            Some(group) => match tape.pick(8) {
                0 => group.description = tape.pick(2),
                1 => group.ingress.push(Opening::draw(tape)),
                2 => {
                    group.ingress.pop();
                }
                3 => group.egress = tape.maybe(60, |tape| Opening::several(tape, 2)),
                4 => group.literal = tape.maybe(30, |tape| tape.pick(3)),
                5 => group.additive = !group.additive,
                6 => group.extra = Extra::draw(tape),
                _ => {
                    self.groups.remove(&which);
                }
            },
        }
    }

    fn change_machine(&mut self, tape: &mut Tape<'_>) {
        let which = tape.pick(3);
        let Some(machine) = self.machines.get_mut(&which) else {
            self.machines.insert(which, Machine::draw(tape));
            return;
        };
        match tape.pick(16) {
            0 => machine.image = tape.pick(3),
            1 => machine.size = tape.pick(3),
            2 | 3 => machine.groups = tape.maybe(90, |tape| (0..=tape.pick(2)).map(|_| tape.pick(4)).collect()),
            4 => machine.key = tape.maybe(60, |tape| tape.pick(2)),
            5 => machine.data = tape.maybe(80, Data::draw),
            6 => machine.count = tape.maybe(70, |tape| u32::try_from(1 + tape.pick(3)).unwrap()),
            7 => machine.zones = (0..tape.pick(3)).map(|_| tape.pick(3)).collect(),
            8 => machine.disk = tape.maybe(70, |tape| tape.pick(3)),
            9 => machine.plain[tape.pick(5)] ^= true,
            10 => machine.private_ip = tape.maybe(40, |tape| tape.pick(3)),
            11 => machine.profile = tape.maybe(50, |tape| tape.pick(2)),
            12 => machine.data_change = tape.pick(3),
            13 => machine.no_public_ip = !machine.no_public_ip,
            14 => machine.extra = Extra::draw(tape),
            _ => {
                self.machines.remove(&which);
            }
        }
    }

    fn change_address(&mut self, tape: &mut Tape<'_>) {
        let which = tape.pick(3);
        match self.addresses.get_mut(&which) {
            None => {
                self.addresses.insert(which, Elastic::draw(tape));
            }
            Some(address) => match tape.pick(6) {
                0..=2 => address.machine = tape.maybe(80, |tape| (tape.pick(3), tape.pick(3))),
                3 => address.pool = tape.maybe(50, |tape| tape.pick(2)),
                4 => address.extra = Extra::draw(tape),
                _ => {
                    self.addresses.remove(&which);
                }
            },
        }
    }

    fn change_key(&mut self, tape: &mut Tape<'_>) {
        let which = tape.pick(2);
        match self.keys.get_mut(&which) {
            None => {
                self.keys.insert(which, Key::draw(tape));
            }
            Some(key) => match tape.pick(4) {
                0 => key.material = tape.pick(3),
                1 => key.literal = tape.maybe(50, |tape| tape.pick(2)),
                2 => key.extra = Extra::draw(tape),
                _ => {
                    self.keys.remove(&which);
                }
            },
        }
    }

    fn change_balancer(&mut self, tape: &mut Tape<'_>) {
        let which = tape.pick(2);
        let Some(balancer) = self.balancers.get_mut(&which) else {
            self.balancers.insert(which, Balancer::draw(tape));
            return;
        };
        match tape.pick(14) {
            0 | 1 => balancer.members = Balancer::members(tape),
            2 | 3 => balancer.listeners = Balancer::listeners(tape),
            4 => balancer.groups = tape.maybe(80, |tape| (0..=tape.pick(2)).map(|_| tape.pick(4)).collect()),
            5 => balancer.spare = tape.maybe(50, |tape| tape.pick(4)),
            6 => balancer.check = tape.pick(3),
            7 => balancer.draining = tape.maybe(60, |tape| tape.pick(2)),
            8 => balancer.plain[tape.pick(3)] ^= true,
            9 => balancer.literal = tape.maybe(50, |tape| tape.pick(2)),
            10 => balancer.internal = !balancer.internal,
            11 => balancer.further_zones = !balancer.further_zones,
            12 => balancer.extra = Extra::draw(tape),
            _ => {
                self.balancers.remove(&which);
            }
        }
    }

    fn change_host(&mut self, tape: &mut Tape<'_>) {
        let which = tape.pick(2);
        match self.hosts.get_mut(&which) {
            None => {
                self.hosts.insert(which, hosts::Gate::draw(tape));
            }
            Some(_) if tape.chance(20) => {
                self.hosts.remove(&which);
            }
            Some(gate) => gate.change(tape),
        }
    }

    /// Nothing is protected.
    pub(super) fn unprotect(&mut self) {
        let extras = (self.keys.values_mut().map(|key| &mut key.extra))
            .chain(self.groups.values_mut().map(|group| &mut group.extra))
            .chain(self.addresses.values_mut().map(|address| &mut address.extra))
            .chain(self.machines.values_mut().map(|machine| &mut machine.extra))
            .chain(self.balancers.values_mut().map(|balancer| &mut balancer.extra));
        for extra in extras {
            extra.protect = false;
        }
    }
}

/// One of three public keys.
pub(super) fn material(which: usize) -> PublicKey {
    use base64::Engine;
    let mut blob = vec![0, 0, 0, 11];
    blob.extend(b"ssh-ed25519");
    blob.extend([0, 0, 0, 32]);
    blob.extend([u8::try_from(which).unwrap() + 1; 32]);
    PublicKey::read(&format!("ssh-ed25519 {}", base64::engine::general_purpose::STANDARD.encode(blob))).unwrap()
}
