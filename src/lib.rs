//! Portcullis plans and applies the edge of an AWS web stack, and the firewalls of the hosts around it, from one spec, without
//! a state file.
//!
//! # The map
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | the words every layer shares: addresses, ids, networks, tags, text with holes |
//! | [`diagnostic`] | problems in what the user wrote, collected |
//! | [`resources`] | one folder per kind: all that is true of that kind; and the simulated [`resources::world`] |
//! | [`spec`] | text → stack: read, merged, resolved, checked; pure |
//! | [`plan`] | stack and snapshot → plan: claim, ripple, order; pure |
//! | [`reach`] | who can reach whom, by what the kinds say of themselves; pure |
//! | [`rehearsal`] | a plan run on the world that its snapshot shows: does it come to an end, and what is on the way? pure |
//! | [`port`] | the one way out to the world |
//! | [`provider`] | AWS, hosts through a shell, the simulated world, and what makes any of them fail for a test |
//! | [`apply`] | carries a plan out |
//! | [`lock`] | one apply at a time: a lock on this machine, and a lease in a bucket |
//! | [`report`] | results → text; pure |
//! | [`cli`] | arguments, files, streams and exit codes |
//!
//! Columns (a kind's folder) hold facts about a kind; rows (`spec`, `plan`, `reach`, `rehearsal`, `apply`, `report`) hold algorithms over
//! all kinds and never name one; they meet in [`resources::registry`] alone. To add a kind, copy a folder, add a variant, and let the
//! compiler list the rest. `tests/suite/layering.rs` holds the house to this.
//!
//! # The way of the data
//!
//! `cli` reads arguments and files → [`spec::load`] (text → [`resources::stack::Stack`], all problems at once, templates
//! rendered) → [`port::Provider::observe`] (pages → [`resources::snapshot::Snapshot`]) → [`plan::plan`], which may ask
//! questions beyond the listings ([`port::Provider::inquire`]) and is then made again → a sealed [`plan::Plan`] →
//! [`rehearsal::rehearse`], which may refuse it → [`report::document`] → terminal, JSON. For an apply: consent → journal → [`apply::apply`]: ready step → precheck → call →
//! bindings; a failure skips dependents only → observe and plan again, which must come out empty.
//!
//! # How members change while the site stays up
//!
//! A kind that sends traffic to others says who they are ([`resources::Crew`]), which calls end and begin the traffic to each
//! ([`resources::Draft`]: `quits`, `serves`), and what goes around the interruption of one ([`resources::Wrap`]). The planner
//! knows no load balancer: it makes whoever is interrupted wait until the traffic has ended, lets new ones serve before old
//! ones leave, and gives members turns. How many are in service when a turn comes, the call that takes one out asks again.
//!
//! # How a host is changed
//!
//! A host firewall says whom a call lets in and whom it shuts out ([`resources::Draft`]: `admits`, `shuts`); the planner knows
//! no packet filter, and puts those calls before whoever boots or serves, and before whoever ends or gives its address up. The
//! calls go through a shell as one script each, in which nothing that a spec or a tag says is ever code. Whoever makes a change confirms it over a new connection, or the host takes it back by itself.
//!
//! # How a plan is rehearsed
//!
//! A snapshot is made into a world ([`resources::world::World::from_snapshot`]); what it does not tell of exists there and is a
//! stranger. The plan's calls are made on it in several legal orders, the plan's own first, then those that strain it most. In
//! each state the laws of the world must hold (who serves, whom hosts let in), and in no state may a flow be open that neither
//! start nor end allows, or be closed that both allow: each kind says what it is to flows ([`resources::flow::Stance`]), and
//! [`reach`] puts that together. In the end a second plan must be empty. What is only uncertain is told, and refuses nothing.
//!
//! # Why there is no state file
//!
//! An object is owned because its tags say so, and the tags are part of the call that creates it. What AWS cannot list is
//! kept in tags too (the fingerprint of user data, the query an image was found by). The generation in a tag counts the
//! objects made at an address, so two of them, after a crash in the middle of a replacement, are a normal state with a
//! known way out.

// What waits for AWS under a lock, under signals, is nested deeper than the compiler looks by itself.
#![recursion_limit = "256"]

pub mod apply;
pub mod cli;
pub mod diagnostic;
pub mod lock;
pub mod model;
pub mod plan;
pub mod port;
pub mod provider;
pub mod reach;
pub mod rehearsal;
pub mod report;
pub mod resources;
pub mod spec;
