//! What turns our chains as they stand into those that are wanted.

use super::found::{Found, Side};
use super::saved::SavedRule;
use super::{sets, text};
use crate::model::Family;
use crate::resources::host_firewall::dialect::{Input, Program, Standing, Transaction, Wanted};
use crate::resources::host_firewall::host::Jump;
use crate::resources::host_firewall::layout::{Line, Written};
use crate::resources::host_firewall::marker;
use crate::resources::host_firewall::names::{Names, digest};
use crate::resources::host_firewall::ruleset::Ruleset;

/// The families in which chains of ours stand. Without any that is filtered the marker still needs a place.
pub(super) fn families(rules: &Ruleset) -> Vec<Family> {
    let filtered: Vec<Family> = rules.settings.families.iter().copied().collect();
    if filtered.is_empty() { vec![Family::Ipv4] } else { filtered }
}

/// What is wanted in one family.
struct Plan<'a> {
    lines: Vec<Written>,
    notes: Vec<String>,
    /// The chain that shall call ours; none where nothing is filtered.
    calling: Option<&'a str>,
    /// Whether that is to be before all rules of others.
    raise: bool,
}

impl<'a> Plan<'a> {
    fn of(names: &Names, wanted: &Wanted<'a>, family: Family) -> Option<Self> {
        if !families(wanted.rules).contains(&family) {
            return None;
        }
        let filtered = wanted.rules.settings.families.contains(&family);
        let calling = filtered.then(|| text::calling(wanted.attach));
        Some(Self {
            lines: text::lines(names, wanted.rules, family),
            notes: marker::write(wanted),
            calling,
            raise: wanted.raise,
        })
    }

    /// The rules of both chains, the marker's with the change that writes them.
    fn rules(&self, names: &Names, change: &str) -> Vec<String> {
        let mut rules: Vec<String> = self.lines.iter().map(|line| text::append(&names.chain(), line)).collect();
        rules.extend(self.marker_rules(names, change));
        rules
    }

    fn marker_rules(&self, names: &Names, change: &str) -> Vec<String> {
        let notes = self.notes.iter().cloned().chain([marker::change(change)]);
        notes.map(|line| format!("-A {} {}", names.marker_chain(), text::note(&line))).collect()
    }

    /// What the change that writes this is called: different from the one before it, and the same when it is made again.
    fn change_id(&self, names: &Names, before: &[String], adopted: &[String]) -> String {
        let all = [self.rules(names, ""), before.to_vec(), adopted.to_vec()].concat();
        digest(&all.join("\n"), 12)
    }
}

impl Found {
    /// The change.
    pub(in super::super) fn change(
        &self,
        standing: Option<&Standing>,
        to: Option<Wanted<'_>>,
        adopt: &[String],
    ) -> Transaction {
        let mut transaction = Transaction::default();
        let needed = to.map(|wanted| sets::needed(&self.names, wanted.rules)).unwrap_or_default();
        let steps = sets::steps(&self.sets, &self.left_over, &needed);
        let input = |lines: &[String]| sets::text(lines).map(|text| Input::new(Program::IpsetRestore, text));
        transaction.before.extend(input(&steps.before));
        transaction.undo.extend(input(&steps.back));
        let none = Side::default();
        for family in Family::ALL {
            let plan = to.as_ref().and_then(|wanted| Plan::of(&self.names, wanted, family));
            let side = self.sides.get(&family).unwrap_or(&none);
            let adopted = side.adopted(adopt);
            if let Some((change, undo)) = self.side(side, plan.as_ref(), standing, &adopted) {
                let program = Program::restore(family);
                transaction.change.push(Input::new(program, change));
                let mut undo = undo.into_iter();
                if let Some(text) = undo.next() {
                    let otherwise = undo.map(|text| (program, text)).collect();
                    transaction.undo.push(Input { program, text, otherwise });
                }
            }
        }
        transaction.after.extend(input(&steps.after));
        transaction.undo.extend(input(&steps.back_after));
        transaction
    }

    /// Adds that rules of others go, to the change of another dialect: when that is done.
    pub(in super::super) fn adopt(&self, adopt: &[String], transaction: &mut Transaction) {
        for (family, side) in &self.sides {
            let adopted = side.adopted(adopt);
            if let Some((change, undo)) = self.side(&Side::default(), None, None, &adopted) {
                let program = Program::restore(*family);
                transaction.after.push(Input::new(program, change));
                let mut undo = undo.into_iter();
                if let Some(text) = undo.next() {
                    let otherwise = undo.map(|text| (program, text)).collect();
                    transaction.undo.push(Input { program, text, otherwise });
                }
            }
        }
    }

    /// The change of one family, and the ways back, of which the first that works is the right one; none when nothing changes.
    fn side(
        &self,
        side: &Side,
        plan: Option<&Plan<'_>>,
        standing: Option<&Standing>,
        adopted: &[(SavedRule, usize)],
    ) -> Option<(String, Vec<String>)> {
        let (chain, marker) = (self.names.chain(), self.names.marker_chain());
        let moves = match plan {
            Some(Plan { calling: Some(calling), raise, .. }) => match side.jump(calling) {
                Jump::After(above) => above > 0 && *raise,
                Jump::Missing | Jump::Several => true,
            },
            Some(Plan { calling: None, .. }) | None => !side.calls.is_empty(),
        };
        let rules_stay = plan.is_some_and(|plan| standing.is_some() && side.has(&plan.lines));
        let notes_stay = plan.is_some_and(|plan| side.told() == plan.notes);
        let nothing = match plan {
            Some(_) => rules_stay && notes_stay,
            None => !side.stands(),
        };
        if nothing && !moves && adopted.is_empty() {
            return None;
        }
        let gone: Vec<String> = adopted.iter().filter_map(|(rule, _)| rule.command("-D")).collect();
        let mut commands = Vec::new();
        if plan.is_some() || side.stands() {
            if !rules_stay {
                commands.push(format!(":{chain} - [0:0]"));
            }
            commands.push(format!(":{marker} - [0:0]"));
        }
        if moves {
            commands.extend(side.calls.iter().filter_map(|(rule, _)| rule.command("-D")));
        }
        let change = plan.map(|plan| plan.change_id(&self.names, &side.notes(), &gone)).unwrap_or_default();
        match plan {
            Some(plan) => {
                let calling = plan.calling.filter(|_| moves);
                commands.extend(calling.map(|calling| format!("-I {calling} 1 {}", text::jump(&self.names))));
                commands.extend(if rules_stay {
                    plan.marker_rules(&self.names, &change)
                } else {
                    plan.rules(&self.names, &change)
                });
            }
            None if side.stands() => commands.extend([format!("-X {chain}"), format!("-X {marker}")]),
            None => {}
        }
        commands.extend(gone);
        let undo = self.undo(side, plan.map(|plan| (plan, change.as_str())), moves, adopted);
        Some((text::restore(&commands), undo.into_iter().map(|commands| text::restore(&commands)).collect()))
    }

    /// The ways back. The first proves that the change is in place, by taking away what only that wrote, and so does nothing
    /// where it is not; the others make our chain as it was and let alone what others may have moved meanwhile.
    fn undo(
        &self,
        side: &Side,
        plan: Option<(&Plan<'_>, &str)>,
        moved: bool,
        adopted: &[(SavedRule, usize)],
    ) -> Vec<Vec<String>> {
        let (chain, marker) = (self.names.chain(), self.names.marker_chain());
        let declared = vec![format!(":{chain} - [0:0]"), format!(":{marker} - [0:0]")];
        let content: Vec<String> =
            side.chain.iter().chain(&side.marker).flatten().filter_map(|rule| rule.command("-A")).collect();
        let mut back: Vec<&(SavedRule, usize)> = adopted.iter().chain(side.calls.iter().filter(|_| moved)).collect();
        // In the order in which they stood, so that each finds the place it had.
        back.sort_by_key(|(rule, at)| (rule.chain.clone(), *at));
        let back: Vec<String> = back.into_iter().filter_map(|(rule, at)| rule.insert(*at)).collect();
        let removed = [format!("-X {chain}"), format!("-X {marker}")];
        let mut first = Vec::new();
        match plan {
            Some((plan, change)) => {
                first.push(format!("-D {marker} {}", text::note(&marker::change(change))));
                first.extend([format!("-F {chain}"), format!("-F {marker}")]);
                let calling = plan.calling.filter(|_| moved);
                first.extend(calling.map(|calling| format!("-D {calling} {}", text::jump(&self.names))));
            }
            None if side.stands() => first.extend([format!("-N {chain}"), format!("-N {marker}")]),
            None => {
                // Nothing but rules of others: where they are still there, taking them away and putting them back is nothing.
                let there = adopted.iter().filter_map(|(rule, _)| rule.command("-D"));
                return vec![there.chain(back.clone()).collect(), back];
            }
        }
        if side.stands() {
            first.extend(content.iter().cloned());
            first.extend(back);
            vec![first, [declared, content].concat()]
        } else {
            first.extend(removed.clone());
            first.extend(back);
            vec![first, [declared.clone(), removed.to_vec()].concat(), declared]
        }
    }
}

impl Side {
    /// Whether our chain has exactly these rules.
    fn has(&self, wanted: &[Written]) -> bool {
        let lines = self.lines();
        self.chain.is_some()
            && lines.len() == wanted.len()
            && lines
                .iter()
                .zip(wanted)
                .all(|((there, _), (line, _)): (&(Option<Line>, _), _)| there.as_ref() == Some(line))
    }

    /// The rules that are to go, each with its place in its chain. A text that could be two lines is never among them.
    fn adopted(&self, adopt: &[String]) -> Vec<(SavedRule, usize)> {
        let mut counts = std::collections::BTreeMap::<&str, usize>::new();
        let mut adopted = Vec::new();
        for rule in &self.table.rules {
            let count = counts.entry(&rule.chain).or_default();
            *count += 1;
            if adopt.contains(&rule.text) && rule.command("-D").is_some() {
                adopted.push((rule.clone(), *count));
            }
        }
        adopted
    }
}

/// What a boot restores.
pub(in super::super) fn boot(names: &Names, wanted: &Wanted<'_>) -> Vec<Input> {
    let lines = sets::whole(&sets::needed(names, wanted.rules));
    let mut inputs: Vec<Input> =
        sets::text(&lines).map(|text| Input::new(Program::IpsetRestore, text)).into_iter().collect();
    for family in families(wanted.rules) {
        let Some(plan) = Plan::of(names, wanted, family) else { continue };
        let mut commands = vec![format!(":{} - [0:0]", names.chain()), format!(":{} - [0:0]", names.marker_chain())];
        commands.extend(plan.rules(names, &plan.change_id(names, &[], &[])));
        let (mut again, mut first) = (commands.clone(), commands);
        if let Some(calling) = plan.calling {
            again.push(format!("-D {calling} {}", text::jump(names)));
            for commands in [&mut again, &mut first] {
                commands.push(format!("-I {calling} 1 {}", text::jump(names)));
            }
        }
        let program = Program::restore(family);
        let otherwise = vec![(program, text::restore(&first))];
        inputs.push(Input { program, text: text::restore(&again), otherwise });
    }
    inputs
}
