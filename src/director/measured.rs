//! The numbers of a director and its members as measurements, for exporters.

use super::report::{DirectorSnapshot, MemberSnapshot, MemberStatus};
use crate::stats::metrics::{
    Family, Kind, Label, LabelKey, Measurements, Of, Read, Row, Unit, labels_of, measure,
};

impl DirectorSnapshot {
    /// Returns every number of the snapshot, with its family and its labels.
    ///
    /// `director` is the name of the director, the value of the label `director`.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// use buslane::stats::metrics::Exposition;
    /// let director = Director::new()?;
    /// let _bob = director.join_manual("bob")?;
    /// director.announce(7)?;
    /// let snapshot = director.snapshot();
    /// let page = Exposition::new().measurements(snapshot.measurements("replicas")).to_string();
    /// assert!(page.contains("buslane_member_lag_events{director=\"replicas\",member=\"bob\"} 1\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn measurements<'a>(&'a self, director: &'a str) -> Measurements<'a> {
        let mut out = Vec::new();
        let of = Of {
            state: self,
            labels: vec![Label::new(LabelKey::Director, director)],
            sink: None,
            subscriber: None,
        };
        let labels = labels_of(LabelKey::Member, self.members.iter().map(|member| member.name.as_str()));
        let member = |(member, (label, is_shared)): (&'a MemberSnapshot, _)| {
            let mut of = of.part(member, label);
            if is_shared {
                of.labels.push(Label::new(LabelKey::MemberEpoch, member.epoch.get().to_string()));
            }
            of
        };
        let members: Vec<_> = self.members.iter().zip(labels).map(member).collect();
        measure(DIRECTOR, &[of], &mut out);
        measure(MEMBER, &members, &mut out);
        Measurements::new(out)
    }

    /// Returns every family that the measurements of a director may have, in their order.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::DirectorSnapshot;
    /// assert!(DirectorSnapshot::families().any(|family| family.name == "buslane_member_lag_events"));
    /// ```
    pub fn families() -> impl Iterator<Item = &'static Family> + Clone {
        DIRECTOR.iter().map(|row| &row.family).chain(MEMBER.iter().map(|row| &row.family))
    }
}

static DIRECTOR: &[Row<DirectorSnapshot>] = &[
    Row::new(
        ["buslane_director_open", "buslane.director.open"],
        Kind::Gauge,
        Unit::None,
        "Whether the director is open: 1, or 0 after it was closed.",
        Read::Flag(|director| !director.is_closed),
    ),
    Row::new(
        ["buslane_director_members", "buslane.director.members"],
        Kind::UpDownCounter,
        Unit::Members,
        "Members of the director.",
        Read::Count(|director| director.members.len() as u64),
    ),
    Row::new(
        ["buslane_director_left_members_total", "buslane.director.left"],
        Kind::Counter,
        Unit::Members,
        "Members that have left.",
        Read::Count(|director| director.left),
    ),
    Row::new(
        ["buslane_director_published_events_total", "buslane.director.published"],
        Kind::Counter,
        Unit::Events,
        "Events that were published, without root events.",
        Read::Count(|director| director.published),
    ),
    Row::new(
        ["buslane_director_orphaned_events_total", "buslane.director.orphaned"],
        Kind::Counter,
        Unit::Events,
        "Unicasts and root events whose receiver left while they were sent.",
        Read::Count(|director| director.orphans),
    ),
    Row::new(
        ["buslane_director_refused_letters_total", "buslane.director.refused_letters"],
        Kind::Counter,
        Unit::Letters,
        "Dead letters that their sink did not accept.",
        Read::Count(|director| director.letters_refused),
    ),
];

static MEMBER: &[Row<MemberSnapshot>] = &[
    Row::new(
        ["buslane_member_attached", "buslane.member.attached"],
        Kind::Gauge,
        Unit::None,
        "Whether the member has a session and has got its state: 1 or 0.",
        Read::Flag(|member| member.status == MemberStatus::Attached),
    ),
    Row::new(
        ["buslane_member_lag_events", "buslane.member.lag"],
        Kind::Gauge,
        Unit::Events,
        "Positions that the member has not read.",
        Read::Count(|member| member.unread),
    ),
    Row::new(
        ["buslane_member_in_flight_events", "buslane.member.in_flight"],
        Kind::UpDownCounter,
        Unit::Events,
        "Events in packets that are not acknowledged.",
        Read::Count(|member| member.in_flight),
    ),
    Row::new(
        ["buslane_member_offered_events_total", "buslane.member.offered"],
        Kind::Counter,
        Unit::Events,
        "Positions of the stream since the member joined.",
        Read::Count(|member| member.offered),
    ),
    Row::new(
        ["buslane_member_delivered_events_total", "buslane.member.delivered"],
        Kind::Counter,
        Unit::Events,
        "Events that were acknowledged.",
        Read::Count(|member| member.delivered),
    ),
    Row::new(
        ["buslane_member_filtered_events_total", "buslane.member.filtered"],
        Kind::Counter,
        Unit::Events,
        "Events that were not for this member: its own, and unicasts to others.",
        Read::Count(|member| member.not_for_member),
    ),
    Row::new(
        ["buslane_member_dropped_events_total", "buslane.member.dropped"],
        Kind::Counter,
        Unit::Events,
        "Events that the member did not get, by reason.",
        Read::Each(LabelKey::Reason, |member| {
            vec![
                ("evicted", member.lost),
                ("failed", member.dead_letters),
                ("panicked", member.panicked),
                ("left", member.discarded),
            ]
        }),
    ),
    Row::new(
        ["buslane_member_root_offered_events_total", "buslane.member.root.offered"],
        Kind::Counter,
        Unit::Events,
        "Root events that were sent to the member.",
        Read::Count(|member| member.root_offered),
    ),
    Row::new(
        ["buslane_member_root_delivered_events_total", "buslane.member.root.delivered"],
        Kind::Counter,
        Unit::Events,
        "Root events that were acknowledged.",
        Read::Count(|member| member.root_delivered),
    ),
    Row::new(
        ["buslane_member_root_dropped_events_total", "buslane.member.root.dropped"],
        Kind::Counter,
        Unit::Events,
        "Root events that the member did not get, by reason.",
        Read::Each(LabelKey::Reason, |member| {
            vec![
                ("evicted", member.root_lost),
                ("failed", member.root_dead_letters),
                ("panicked", member.root_panicked),
                ("left", member.root_discarded),
            ]
        }),
    ),
    Row::new(
        ["buslane_member_root_pending_events", "buslane.member.root.pending"],
        Kind::UpDownCounter,
        Unit::Events,
        "Root events that are not acknowledged.",
        Read::Count(|member| member.root_pending),
    ),
    Row::new(
        ["buslane_member_packets_total", "buslane.member.packets"],
        Kind::Counter,
        Unit::Packets,
        "Packets that were handed out, each counted once.",
        Read::Count(|member| member.packets),
    ),
    Row::new(
        ["buslane_member_attempts_total", "buslane.member.attempts"],
        Kind::Counter,
        Unit::Attempts,
        "Attempts to deliver a packet.",
        Read::Count(|member| member.attempts),
    ),
    Row::new(
        ["buslane_member_errors_total", "buslane.member.errors"],
        Kind::Counter,
        Unit::Errors,
        "What went wrong on the way to the member, by kind.",
        Read::Each(LabelKey::Reason, |member| {
            vec![
                ("state", member.state_failures),
                ("panicked", member.node_panics),
                ("ack_timeout", member.ack_timeouts),
                ("ack_late", member.late_acks),
                ("ack_refused", member.refused_acks),
                ("ticket_dropped", member.dropped_tickets),
            ]
        }),
    ),
    Row::new(
        ["buslane_member_call_seconds", "buslane.member.call"],
        Kind::Gauge,
        Unit::Seconds,
        "How long the node has been in its present call; 0 if it is in none.",
        Read::Time(|member| member.in_call_for),
    ),
];
