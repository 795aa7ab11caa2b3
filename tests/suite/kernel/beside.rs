//! What others do on the host itself, before and after: the real binary refuses what would have no effect, and mends what
//! somebody took away.

use crate::support::binary::Stage;
use crate::support::host::Host;

/// The binary on the host itself, as from cron.
fn on(host: &Host, backend: &str, mode: &str) -> Stage {
    let stage = Stage::new().inside(host.prefix());
    let spec = format!(
        "stack = \"office\"\n[host_firewall.gw]\ntransport = \"local\"\nbackend = \"{backend}\"\nmode = \"{mode}\"\n\
         commit = {{ confirm_within = \"0s\" }}\nrules = [{{ name = \"web\", ports = 80, from = \"192.0.2.0/24\" }}]\n"
    );
    stage.write("spec.toml", &spec);
    stage
}

#[tokio::test]
async fn a_table_of_our_own_that_could_open_nothing_is_refused_and_the_dialect_that_can_is_taken() {
    let host = Host::new();
    host.sh("iptables-nft -P INPUT DROP");
    let before = host.filter();
    let told = on(&host, "nftables", "allow").run(&["apply", "spec.toml", "--yes"]).await.exits(3);
    assert!(told.to_string().contains("chain `INPUT` of table `ip filter` drops what they accept"), "{told}");
    assert_eq!(host.filter(), before);
    let stage = on(&host, "auto", "allow");
    stage.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
    assert!(host.sh("iptables-nft-save").contains("-j portcullis-office"));
}

#[tokio::test]
async fn beside_rules_of_iptables_legacy_nothing_is_done() {
    let host = Host::new();
    host.sh("iptables-legacy -A INPUT -s 192.0.2.1 -j DROP; iptables-nft -A INPUT -s 192.0.2.2 -j DROP");
    let before = host.filter();
    let told = on(&host, "auto", "guard").run(&["apply", "spec.toml", "--yes"]).await.exits(3);
    assert!(told.to_string().contains("iptables-legacy-save | iptables-restore"), "{told}");
    assert_eq!(host.filter(), before);
}

#[tokio::test]
async fn what_a_service_flushed_and_what_a_boot_would_miss_is_made_again() {
    for (backend, forget) in [
        ("nftables", "sed -i /portcullis/d /etc/nftables.conf"),
        ("iptables", "rm /usr/share/netfilter-persistent/plugins.d/50-portcullis"),
    ] {
        let host = Host::new();
        let stage = on(&host, backend, "guard");
        stage.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
        let stands = host.filter();
        for harm in ["nft flush ruleset", forget] {
            host.sh(harm);
            let told = stage.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(2);
            assert!(told.out.contains("host_firewall.gw"), "{told}");
            stage.run(&["apply", "spec.toml", "--yes"]).await.exits(0);
            stage.run(&["plan", "spec.toml", "--detailed-exitcode"]).await.exits(0);
        }
        let rules = |text: &str| text.lines().filter(|line| line.contains("dport 80")).count();
        assert_eq!(rules(&host.filter()), rules(&stands), "{backend}");
        let host = host.restart();
        host.sh("nft -f /etc/nftables.conf && netfilter-persistent start");
        assert_eq!(rules(&host.filter()), rules(&stands), "{backend}: after a boot");
    }
}
