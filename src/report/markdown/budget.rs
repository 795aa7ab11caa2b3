//! A page within a budget of bytes: pieces in the order in which they are read, of which the mildest are left out first.

use std::cmp::Reverse;

use crate::resources::Impact;

/// How much a reader would miss a piece, the least missed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// In which order the calls come.
    Steps,
    /// What differs within a change: how hard it hits, and how much its verb does.
    Details(Impact, u8),
    /// Who changes in which turn.
    Turns,
    /// That something changes.
    Row(Impact, u8),
    /// What becomes reachable.
    Opened,
    /// What hurts somebody.
    Risk(Impact),
    /// What is reachable for a moment.
    Exposure,
    /// Never left out, whatever the budget: what goes, what is lost, what is refused.
    Never,
}

/// Some lines that are shown together or not at all.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) rank: Rank,
    pub(super) text: String,
    /// How many things it tells of.
    pub(super) count: usize,
}

impl Piece {
    /// Lines that tell of one thing.
    pub(super) const fn new(rank: Rank, text: String) -> Self {
        Self { rank, text, count: 1 }
    }
}

/// Pieces with what stands before and behind them where any is shown.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) head: String,
    pub(super) pieces: Vec<Piece>,
    pub(super) foot: &'static str,
}

impl Section {
    /// A list below a heading.
    pub(super) fn list(title: &str, pieces: Vec<Piece>) -> Self {
        Self { head: format!("#### {title}\n\n"), pieces, foot: "\n" }
    }

    fn frame(&self) -> usize {
        self.head.len() + self.foot.len()
    }
}

/// Where a piece stands in the order of leaving out: of two alike, the later goes first.
type Turn = (Rank, Reverse<usize>);

/// Writes what fits, and how much does not.
pub(super) fn fit(sections: &[Section], budget: usize) -> String {
    let mut number = 0;
    let mut placed: Vec<(usize, Turn, &Piece)> = Vec::new();
    for (section, pieces) in sections.iter().map(|section| &section.pieces).enumerate() {
        for piece in pieces {
            placed.push((section, (piece.rank, Reverse(number)), piece));
            number += 1;
        }
    }
    let (last, left) = leave_out(sections, &placed, budget);
    let mut out = String::new();
    let mut placed = placed.iter();
    for section in sections {
        let own = placed.by_ref().take(section.pieces.len());
        let kept: Vec<&str> =
            own.filter(|(_, turn, _)| Some(*turn) > last).map(|(_, _, piece)| piece.text.as_str()).collect();
        if !kept.is_empty() {
            out.push_str(&section.head);
            out.extend(kept);
            out.push_str(section.foot);
        }
    }
    out + &left.line()
}

/// The last piece in turn that must be left out, and what all of them are.
fn leave_out(sections: &[Section], placed: &[(usize, Turn, &Piece)], budget: usize) -> (Option<Turn>, LeftOut) {
    let mut left = LeftOut::default();
    let mut remaining: Vec<usize> = sections.iter().map(|section| section.pieces.len()).collect();
    let frames = sections.iter().filter(|section| !section.pieces.is_empty()).map(Section::frame);
    let mut size = frames.sum::<usize>() + placed.iter().map(|(_, _, piece)| piece.text.len()).sum::<usize>();
    let mut queue: Vec<_> = placed.iter().filter(|(_, _, piece)| piece.rank != Rank::Never).collect();
    queue.sort_by_key(|(_, turn, _)| *turn);
    let mut last = None;
    for (section, turn, piece) in queue {
        if size + left.line().len() <= budget {
            break;
        }
        last = Some(*turn);
        left.add(piece);
        size -= piece.text.len();
        if let (Some(section), Some(more)) = (sections.get(*section), remaining.get_mut(*section)) {
            *more -= 1;
            size -= if *more == 0 { section.frame() } else { 0 };
        }
    }
    (last, left)
}

/// What is left out, counted.
#[derive(Debug, Default)]
struct LeftOut {
    steps: usize,
    details: usize,
    turns: usize,
    rows: usize,
    opened: usize,
    risks: usize,
    exposures: usize,
}

impl LeftOut {
    fn add(&mut self, piece: &Piece) {
        match piece.rank {
            Rank::Steps => self.steps += piece.count,
            Rank::Details(..) => self.details += piece.count,
            Rank::Turns => self.turns += piece.count,
            Rank::Row(..) => self.rows += piece.count,
            Rank::Opened => self.opened += piece.count,
            Rank::Risk(_) => self.risks += piece.count,
            Rank::Exposure => self.exposures += piece.count,
            Rank::Never => {}
        }
    }

    /// How many, and how to see them; nothing when nothing is left out.
    fn line(&self) -> String {
        let Self { steps, details, turns, rows, opened, risks, exposures } = *self;
        let parts: Vec<String> = [
            (exposures, "", "exposure"),
            (risks, "", "risk"),
            (opened, "", "rule"),
            (rows, "the rows of ", "change"),
            (turns, "", "turn"),
            (details, "the details of ", "change"),
            (steps, "the order of ", "call"),
        ]
        .into_iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, of, word)| format!("{of}{count} {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
        if parts.is_empty() {
            return String::new();
        }
        format!(
            "**Left out to fit**: {}. `portcullis show PLANFILE` shows all of a plan that `plan --out PLANFILE` kept, and so does `plan` in a terminal.\n",
            parts.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Vec<Section> {
        let piece = |rank, text: &str| Piece::new(rank, text.repeat(100));
        let mild = Rank::Details(Impact::None, 1);
        let hard = Rank::Details(Impact::Downtime, 1);
        vec![
            Section::list("Never", vec![Piece::new(Rank::Never, "kept\n".to_owned())]),
            Section::list("Details", vec![piece(mild, "a"), piece(hard, "b"), piece(mild, "c")]),
            Section { head: "steps ".to_owned(), pieces: vec![piece(Rank::Steps, "d")], foot: "" },
        ]
    }

    fn shown(budget: usize) -> String {
        let text = fit(&page(), budget);
        ["kept", "aa", "bb", "cc", "dd", "Details", "steps "]
            .into_iter()
            .filter(|word| text.contains(word))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_mildest_go_first_and_of_two_alike_the_later() {
        let whole = fit(&page(), 10_000).len();
        assert_eq!(shown(whole), "kept aa bb cc dd Details steps ");
        assert_eq!(shown(whole - 1), "kept aa bb Details", "the line that says so takes room too");
        assert_eq!(shown(whole - 100), "kept bb Details");
        assert_eq!(shown(0), "kept");
        let mut last = 0;
        for budget in 0..=whole {
            let text = fit(&page(), budget);
            assert!(text.len() <= budget.max(fit(&page(), 0).len()), "{budget}");
            assert!(text.len() >= last, "more room shows no less");
            last = text.len();
        }
    }

    #[test]
    fn what_is_left_out_is_counted_on_one_line() {
        let text = fit(&page(), 0);
        assert_eq!(
            text,
            "#### Never\n\nkept\n\n**Left out to fit**: the details of 3 changes, the order of 1 call. `portcullis show PLANFILE` shows all of a plan that `plan --out PLANFILE` kept, and so does `plan` in a terminal.\n"
        );
        assert!(!fit(&page(), 10_000).contains("Left out"));
    }
}
