//! The gateway of an office, as a new user meets it: instances come and go, and the real binary, before moto, lets them in and
//! shuts them out. Whether it does is shown by connections from the instances' own addresses.

use std::net::IpAddr;
use std::sync::Mutex;

use super::ssh::Pair;
use crate::support::binary::Stage;
use crate::support::moto;
use crate::support::proxy::{Fault, Proxy};
use crate::support::relay::Relay;

/// What stands on the gateway before: a policy, fail2ban, and what the old script left of instances that are long gone.
const OTHERS: &str = "*filter\n:INPUT DROP [0:0]\n:f2b-sshd - [0:0]\n\
    -A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd\n\
    -A INPUT -i lo -j ACCEPT\n\
    -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
    -A INPUT -s 10.200.0.1/32 -p tcp -m tcp --dport 22 -j ACCEPT\n\
    -A f2b-sshd -s 203.0.113.5/32 -j REJECT --reject-with icmp-port-unreachable\n\
    -A f2b-sshd -j RETURN\nCOMMIT\n";
const OF_THE_OLD_SCRIPT: &str = "*filter\n\
    -A INPUT -s 198.51.100.1/32 -p tcp -m tcp --dport 80 -m comment --comment \"EC2 - gone\" -j ACCEPT\n\
    -A INPUT -s 198.51.100.1/32 -p tcp -m tcp --dport 443 -m comment --comment \"EC2 - gone\" -j ACCEPT\n\
    -A INPUT -s 198.51.100.9/32 -p tcp -m tcp --dport 8080 -m comment --comment \"EC2 - by hand\" -j ACCEPT\nCOMMIT\n";
const NATIVE: &str = "table inet site { chain in { type filter hook input priority 10; ip saddr 203.0.113.9 drop; }; }";
/// What a boot runs.
const BOOT: &str = "nft -f /etc/nftables.conf && netfilter-persistent start";

/// How the binary reaches the gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From this machine, by a command.
    Command,
    /// From the other end of the cable, by ssh.
    Ssh,
}

/// The gateway with a client that has instances' addresses, and the binary.
pub struct Office {
    pub pair: Pair,
    pub proxy: Proxy,
    pub stage: Stage,
    way: Way,
    /// Which addresses the client has.
    lives: Mutex<Vec<IpAddr>>,
    _relay: Option<Relay>,
}

impl Office {
    /// A gateway that nobody has touched, reached by a command.
    pub async fn new() -> Self {
        Self::by(Way::Command).await
    }

    async fn by(way: Way) -> Self {
        let pair = Pair::new();
        let proxy = Proxy::before(moto::port()).await;
        let (stage, relay) = match way {
            Way::Command => (Stage::before(proxy.port), None),
            Way::Ssh => {
                let relay = Relay::new(&pair.client, proxy.port);
                (Stage::before(relay.port).inside(pair.client.prefix()), Some(relay))
            }
        };
        let office = Self { pair, proxy, stage, way, lives: Mutex::default(), _relay: relay };
        office.open_up();
        office
    }

    /// What the gateway is for, and the way back to whoever asks from outside.
    fn open_up(&self) {
        self.pair.server.sh("ip route add default via 10.200.0.1");
        // moto's Elastic IPs are of 127.0.0.0/8, which no interface but the loopback takes unasked.
        self.pair.server.sh("ip addr add 127.0.0.1/32 dev lo; ip addr del 127.0.0.1/8 dev lo");
        for host in [&self.pair.server, &self.pair.client] {
            host.sh("echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet");
        }
        self.pair.server.serve("80 443 8080");
    }

    /// How the spec reaches the gateway.
    pub fn transport(&self) -> String {
        match self.way {
            Way::Command => format!("{{ command = {:?} }}", self.pair.server.prefix()),
            Way::Ssh => "{ ssh = \"root@10.200.0.2\" }".to_owned(),
        }
    }

    /// Runs the binary.
    pub async fn run(&self, arguments: &[&str]) -> crate::support::binary::Told {
        self.stage.run(&[arguments, &["--allow-command"]].concat()).await
    }

    /// Gives the client an address, so that it may connect from there.
    pub fn live_at(&self, address: IpAddr) {
        self.pair.client.sh(&format!("ip addr add {address}/32 dev c0"));
        self.lives.lock().expect("a list").push(address);
    }

    /// Whether somebody gets in.
    pub fn admits(&self, from: IpAddr, port: u16) -> bool {
        self.pair.client.connects(&probe(from, port))
    }

    /// The rules of others, as iptables and nft list them.
    fn others(&self) -> String {
        self.pair.server.sh(
            "{ iptables-nft-save; ip6tables-nft-save; } | grep -e '^-' -e '^:' | grep -v -e 'EC2 - gone' -e portcullis | \
             sed 's/ \\[.*//'; nft list table inet site 2>/dev/null; true",
        )
    }

    fn restart(self) -> Self {
        let Self { pair, lives, .. } = self;
        let office = Self { pair: pair.restart(BOOT), lives: Mutex::default(), ..self };
        office.open_up();
        for address in lives.into_inner().expect("a list") {
            office.live_at(address);
        }
        office
    }
}

/// A connection to the gateway.
pub fn probe(from: IpAddr, port: u16) -> String {
    format!("{from} 10.200.0.2 tcp {port}")
}

/// Launches an instance past the binary, and tells its id and public address. `name` is encoded as in a form.
fn launch(region: &str, role: &str, name: &str) -> (String, IpAddr) {
    let form = format!(
        "Action=RunInstances&ImageId=ami-0123456789abcdef0&MinCount=1&MaxCount=1&TagSpecification.1.ResourceType=instance\
         &TagSpecification.1.Tag.1.Key=Role&TagSpecification.1.Tag.1.Value={role}\
         &TagSpecification.1.Tag.2.Key=Name&TagSpecification.1.Tag.2.Value={name}"
    );
    let told = moto::ec2(region, &form);
    let id = between(&told, "<instanceId>").unwrap_or_else(|| panic!("{told}"));
    let address = address_of(region, &id).expect("a public address");
    (id, address)
}

/// The public address of an instance.
pub fn address_of(region: &str, id: &str) -> Option<IpAddr> {
    between(&moto::ec2(region, &format!("Action=DescribeInstances&InstanceId.1={id}")), "<ipAddress>")?.parse().ok()
}

fn terminate(region: &str, id: &str) {
    moto::ec2(region, &format!("Action=TerminateInstances&InstanceId.1={id}"));
}

/// What stands in an element.
pub fn between(document: &str, tag: &str) -> Option<String> {
    Some(document.split_once(tag)?.1.split_once('<')?.0.to_owned())
}

/// The gateway opens to instances of a role in some regions. The stack is called by the role too: all tests share one account.
fn spec(office: &Office, role: &str, regions: &[&str]) -> String {
    format!(
        "stack = \"{role}\"\nregion = \"eu-west-3\"\n[host_firewall.gw]\ntransport = {}\nmode = \"allow\"\n\
         adopt = {{ comment = \"EC2 - *\" }}\nalways_allow = [{{ from = \"10.200.0.1/32\", ports = 22 }}]\nmax_shrink = \"100%\"\n\
         [[host_firewall.gw.rules]]\nname = \"fleet\"\nports = [80, 443]\n\
         from = {{ instances = {{ regions = {regions:?}, tags = {{ Role = \"{role}\" }} }} }}\n",
        office.transport()
    )
}

/// A name that tries to be more than one.
const HOSTILE: &str = "x%22%0A-A+INPUT+-j+ACCEPT%0A%24%28touch+%2Frun%2Fowned%29%27%3B+drop";

async fn instances_come_and_go(way: Way, role: &str) {
    const REGION: &str = "eu-west-3";
    let office = Office::by(way).await;
    office.pair.server.feed("cat >/etc/iptables/rules.v4", OTHERS);
    office.pair.server.feed("iptables-nft-restore", OTHERS);
    office.pair.server.feed("iptables-nft-restore --noflush", OF_THE_OLD_SCRIPT);
    // ip6tables makes its table with the first rule of ours, and it stays.
    office.pair.server.feed("ip6tables-nft-restore", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n");
    office.pair.server.sh(&format!("nft '{NATIVE}'"));
    let before = office.others();
    office.stage.write("spec.toml", &spec(&office, role, &[REGION]));
    let long_gone: IpAddr = "198.51.100.1".parse().expect("an address");
    let by_hand: IpAddr = "198.51.100.9".parse().expect("an address");
    let (id, web) = launch(REGION, role, HOSTILE);
    for address in [web, long_gone, by_hand] {
        office.live_at(address);
    }
    assert!(!office.admits(web, 443) && office.admits(long_gone, 443) && office.admits(by_hand, 8080));

    // An instance has come.
    let plan = office.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(2);
    assert!(plan.out.contains(&format!("{web} ({REGION})")) && plan.out.contains("EC2 - gone"), "{plan}");
    assert!(!office.admits(web, 443), "a plan changes nothing");
    office.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    assert!(office.admits(web, 443) && office.admits(web, 80) && !office.admits(web, 22) && !office.admits(web, 8080));
    assert!(!office.admits(long_gone, 443) && office.admits(by_hand, 8080), "exactly the old script's are taken over");
    assert_eq!(office.others(), before);
    office.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);
    // A ban above our call is no difference, unless it keeps somebody out whom we let in.
    for (ban, code) in [("203.0.113.77", 0), ("0.0.0.0/0", 2)] {
        office.pair.server.sh(&format!("iptables-nft -I INPUT 1 -s {ban} -p tcp --dport 443 -j DROP"));
        office.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(code);
        office.pair.server.sh("iptables-nft -D INPUT 1");
    }

    // The gateway is started anew, and nobody applies anything.
    let office = office.restart();
    assert!(office.admits(web, 443) && !office.admits(long_gone, 443));
    assert!(!office.pair.server.try_sh("ls /run/owned").0);
    let (again, other) = (office.others(), launch(REGION, role, "b"));
    assert!(again.contains("f2b-sshd") && !again.contains("by hand"), "{again}");
    office.stage.write("spec.toml", &spec(&office, role, &[REGION]));
    office.live_at(other.1);

    // It goes, and another has come meanwhile.
    terminate(REGION, &id);
    let plan = office.run(&["plan", "spec.toml"]).await.exits(0);
    assert!(plan.out.contains(&format!("- {web} ({REGION})")), "{plan}");
    office.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    assert!(!office.admits(web, 443) && office.admits(other.1, 443));
    assert_eq!(office.others(), again);
    office.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);

    // Everything of ours goes.
    office.run(&["destroy", "spec.toml", "--yes"]).await.exits(0);
    assert!(!office.admits(other.1, 443));
    let left =
        office.pair.server.sh("nft list ruleset; ipset save; ls -R /etc/portcullis /etc/nftables.d 2>/dev/null; true");
    assert!(!left.contains("portcullis") && !left.contains("pc-"), "{left}");
    terminate(REGION, &other.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_behind_a_command_opens_to_instances_as_they_come_and_closes_as_they_go() {
    instances_come_and_go(Way::Command, "gateway-command").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_behind_ssh_opens_to_instances_as_they_come_and_closes_as_they_go() {
    instances_come_and_go(Way::Ssh, "gateway-ssh").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_cannot_be_listed_keeps_its_addresses_and_says_so() {
    const ROLE: &str = "gateway-regions";
    let (fine, failing) = ("eu-west-3", "sa-east-1");
    let office = Office::new().await;
    // Nothing else decides: whom no rule lets in is dropped by a rule of ours.
    let guarded = spec(&office, ROLE, &[fine, failing, "ca-central-1"]).replace("\"allow\"", "\"guard\"");
    office.stage.write("spec.toml", &guarded);
    let (here, there) = (launch(fine, ROLE, "here"), launch(failing, ROLE, "there"));
    office.live_at(here.1);
    office.live_at(there.1);
    // Nobody has ever seen what is there: nothing to keep.
    office.proxy.close(failing, Fault::Refused(403, "OptInRequired"));
    let told = office.run(&["apply", "spec.toml", "--yes"]).await.exits(3);
    assert!(told.to_string().contains(failing), "{told}");
    assert_eq!(office.pair.server.filter(), "");
    office.proxy.heal();
    office.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    assert!(office.admits(here.1, 443) && office.admits(there.1, 443));

    // Both go, and one region does not say so.
    terminate(fine, &here.0);
    terminate(failing, &there.0);
    office.proxy.close(failing, Fault::Refused(403, "UnauthorizedOperation"));
    let told = office.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    assert!(
        told.out.contains(&format!("1 address of {failing} kept")) && told.out.contains("UnauthorizedOperation"),
        "{told}"
    );
    assert!(!office.admits(here.1, 443) && office.admits(there.1, 443));
    let told = office.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);
    assert!(told.to_string().contains(failing), "it is said on each run: {told}");
    office.run(&["plan", "spec.toml", "--strict"]).await.exits(3);
    let seen = office.run(&["observe", "spec.toml"]).await.exits(0);
    assert!(seen.out.contains(&format!("from {} ({failing}, as of ", there.1)), "{seen}");

    // It says so now.
    office.proxy.heal();
    office.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    assert!(!office.admits(there.1, 443));
}

/// What of the example is another here: how the gateway is reached, who we are, and which instances are asked for, as other
/// tests have theirs in the same regions.
fn here(office: &Office, region: &str) -> String {
    format!(
        "region = \"{region}\"\ntags = {{ Role = \"gateway-example\" }}\n[host_firewall.gw]\ntransport = {}\nalways_allow = [{{ from = \"10.200.0.1/32\", ports = 22 }}]\n\
         [[host_firewall.gw.rules]]\nname = \"fleet\"\nports = [22, 80, 3690, 4949, 8140]\n\
         from = {{ instances = {{ regions = [\"{region}\"], tags = {{ Role = \"gateway-example\" }} }} }}\n",
        office.transport()
    )
}

/// `examples/office-firewall`, beside what its README tells of the simulated world.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_the_office_does_on_a_kernel_what_it_does_in_the_simulated_world() {
    const REGION: &str = "eu-west-3";
    let office = Office::new().await;
    office.pair.server.feed("iptables-nft-restore", OTHERS);
    office.pair.server.feed("iptables-nft-restore --noflush", OF_THE_OLD_SCRIPT);
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/office-firewall");
    for file in ["spec.toml", "change.toml", "ops.pub", "puppet.sh"] {
        office.stage.write(file, &std::fs::read_to_string(example.join(file)).expect("a file of the example"));
    }
    office.stage.write("here.toml", &here(&office, REGION));
    let spec = ["spec.toml", "here.toml"];
    let told = office.run(&[&["apply", "--yes"], &spec[..]].concat()).await.exits(0);
    // The mail server's address is known before it boots, the other's only then.
    let at = |what: &str| told.to_string().find(what).unwrap_or_else(|| panic!("no `{what}` in {told}"));
    assert!(at("done let in host_firewall.gw: instance.mail") < at("done run instance.mail"), "{told}");
    assert!(at("done await running instance.build") < at("done let in host_firewall.gw: instance.build"), "{told}");
    office.run(&[&["plan", "--detailed-exitcode"], &spec[..]].concat()).await.exits(0);
    let address = |told: &str, whose: &str| -> IpAddr {
        let line = told.lines().find(|line| line.contains(whose)).unwrap_or_else(|| panic!("no {whose} in {told}"));
        let mut addresses = line.split_whitespace().filter_map(|word| word.parse().ok());
        addresses.next_back().unwrap_or_else(|| panic!("no address in {line}"))
    };
    let observe = [&["observe"], &spec[..]].concat();
    let old = address(&office.run(&observe).await.exits(0).out, "instance.build ");
    office.live_at(old);
    assert!(office.admits(old, 80) && !office.admits(old, 443));

    // Another build machine with another address.
    let changed = [&["apply", "--yes"], &spec[..], &["change.toml"]].concat();
    office.run(&changed).await.exits(0);
    let new = address(&office.run(&observe).await.exits(0).out, "instance.build ");
    office.live_at(new);
    assert!(new != old && office.admits(new, 80) && !office.admits(old, 80));

    office.run(&[&["destroy", "--yes"], &spec[..]].concat()).await.exits(0);
    assert!(!office.admits(new, 80));
}
