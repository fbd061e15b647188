//! The numbers of messages, by which a receiver counts what is missing.
//!
//! ```text
//!   Source:    number of the topic 1 2 3 ...       base: the number when the newest subscription
//!                                                  was seen
//!   Receiver:  last number of each topic of each source
//!              n after last        n - last - 1 are missing
//!              n, and no last      n - base - 1 are missing, if the source has confirmed a
//!                                  subscription for the topic; otherwise it is not known since
//!                                  when it sends, and nothing is missing
//!              n up to last        came before: a duplicate
//! ```
//!
//! What is lost at the end of a burst is seen by the counts that a source tells a moment later.
//!
//! No clock and no socket: the callers bring what happened.

use std::collections::{HashMap, HashSet};

use ump_router::{
    Pattern,
    index::{TopicIndex, TopicKey},
};

use crate::{envelope::Count, participant::ParticipantId};

/// How many topics of a source are remembered.
const MAX_TOPICS: usize = 1 << 16;

/// How many sources are.
const MAX_SOURCES: usize = 4096;

/// The numbers of what this process publishes.
#[derive(Default)]
pub(crate) struct Source {
    topics: HashMap<Pattern, Published>,
    /// How often a subscription was seen.
    generation: u64,
    /// The topics whose counts were not told since they were published on.
    untold: HashSet<Pattern>,
}

struct Published {
    number: u64,
    base: u64,
    generation: u64,
}

impl Source {
    /// A subscription of another participant was seen.
    pub(crate) fn on_subscription(&mut self) {
        self.generation += 1;
    }

    /// Returns the number of the next message on a topic, and its base.
    pub(crate) fn next(&mut self, topic: &Pattern) -> (u64, u64) {
        let generation = self.generation;
        if !self.topics.contains_key(topic) {
            let new = Published {
                number: 0,
                base: 0,
                generation,
            };
            self.topics.insert(topic.clone(), new);
        }
        let published = self.topics.get_mut(topic).expect("it was added above");
        if published.generation != generation {
            published.generation = generation;
            published.base = published.number;
        }
        published.number += 1;
        let numbers = (published.number, published.base);
        if !self.untold.contains(topic) {
            self.untold.insert(topic.clone());
        }
        numbers
    }

    /// Returns whether there are counts to tell.
    pub(crate) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Returns the counts of the topics that were published on since this was called last.
    pub(crate) fn take_untold(&mut self) -> Vec<Count> {
        let untold = std::mem::take(&mut self.untold).into_iter();
        let counts = untold.filter_map(|topic| {
            let Published { number, base, .. } = *self.topics.get(&topic)?;
            Some(Count {
                topic,
                number,
                base,
            })
        });
        counts.collect()
    }
}

/// What this process has received of others.
#[derive(Default)]
pub(crate) struct Receiver {
    own: TopicIndex<u64>,
    keys: HashMap<Pattern, (u64, TopicKey)>,
    sources: HashMap<ParticipantId, From>,
}

/// What was received of a source.
#[derive(Default)]
struct From {
    last: HashMap<Pattern, u64>,
    /// The subscriptions that it has confirmed.
    confirmed: HashSet<u64>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new, and so many messages before it are missing.
    New { missed: u64 },
    /// It has come before, or nobody here wants it.
    Ignored,
}

impl Receiver {
    /// Adds a subscription of this process, with its number.
    pub(crate) fn subscribe(&mut self, pattern: &Pattern, number: u64) {
        let key = self.own.insert(pattern, number);
        self.keys.insert(pattern.clone(), (number, key));
    }

    /// Removes subscriptions of this process. Returns their numbers. Numbers of topics that nobody
    /// here wants any more are forgotten.
    pub(crate) fn unsubscribe(&mut self, pattern: &Pattern) -> Option<u64> {
        let (number, key) = self.keys.remove(pattern)?;
        self.own.remove(key);
        for source in self.sources.values_mut() {
            source.confirmed.remove(&number);
            source.last.retain(|topic, _| is_wanted(&self.own, topic));
        }
        Some(number)
    }

    /// Returns the least of the subscriptions that match a topic.
    pub(crate) fn first_match(&self, topic: &Pattern) -> Option<u64> {
        let mut first = None;
        self.own.for_each_intersecting(topic, |number| {
            first = Some(first.map_or(*number, |least: u64| least.min(*number)));
        });
        first
    }

    /// A source has confirmed subscriptions.
    pub(crate) fn on_seen(&mut self, source: ParticipantId, numbers: &[u64]) {
        let known: HashSet<_> = self.keys.values().map(|(number, _)| *number).collect();
        if let Some(from) = self.from(source) {
            let own = numbers.iter().filter(|number| known.contains(number));
            from.confirmed.extend(own);
        }
    }

    /// Returns how many of these patterns a source has not confirmed.
    pub(crate) fn unconfirmed(&self, source: ParticipantId, patterns: &[Pattern]) -> usize {
        let from = self.sources.get(&source);
        let is_confirmed = |pattern: &Pattern| {
            let own = self.keys.get(pattern).zip(from);
            own.is_some_and(|((number, _), from)| from.confirmed.contains(number))
        };
        patterns.iter().filter(|it| !is_confirmed(it)).count()
    }

    /// A message has come.
    pub(crate) fn on_message(
        &mut self,
        source: ParticipantId,
        topic: &Pattern,
        (number, base): (u64, u64),
    ) -> Verdict {
        let Some(missed) = self.advance(source, topic, (number, base)) else {
            return Verdict::Ignored;
        };
        // The message itself is not missing.
        Verdict::New { missed: missed - 1 }
    }

    /// A source tells how many messages there were. Returns how many of them are missing.
    pub(crate) fn on_count(&mut self, source: ParticipantId, count: &Count) -> u64 {
        let Count {
            topic,
            number,
            base,
        } = count;
        self.advance(source, topic, (*number, *base)).unwrap_or(0)
    }

    /// Goes on to a number. Returns how many numbers that were, or `None` if it was there before or
    /// nobody wants the topic.
    fn advance(
        &mut self,
        source: ParticipantId,
        topic: &Pattern,
        (number, base): (u64, u64),
    ) -> Option<u64> {
        if number == 0 || !is_wanted(&self.own, topic) {
            return None;
        }
        let own = std::mem::take(&mut self.own);
        let steps = self.from(source).and_then(|from| {
            if let Some(last) = from.last.get_mut(topic) {
                let steps = number.checked_sub(*last).filter(|steps| *steps > 0)?;
                *last = number;
                return Some(steps);
            }
            let mut is_confirmed = false;
            own.for_each_intersecting(topic, |number| {
                is_confirmed |= from.confirmed.contains(number);
            });
            if from.last.len() >= MAX_TOPICS {
                // Nothing is counted before the first message of a topic from here on.
                from.last.clear();
                from.confirmed.clear();
            }
            from.last.insert(topic.clone(), number);
            let since_base = number.saturating_sub(base).max(1);
            Some(if is_confirmed { since_base } else { 1 })
        });
        self.own = own;
        steps
    }

    /// A source is gone: nothing is known of it any more.
    pub(crate) fn forget(&mut self, source: ParticipantId) {
        self.sources.remove(&source);
    }

    fn from(&mut self, source: ParticipantId) -> Option<&mut From> {
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&source) {
            return None;
        }
        Some(self.sources.entry(source).or_default())
    }
}

fn is_wanted(own: &TopicIndex<u64>, topic: &Pattern) -> bool {
    let mut any = false;
    own.for_each_intersecting(topic, |_| any = true);
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ParticipantId = ParticipantId(1);

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    fn new(missed: u64) -> Verdict {
        Verdict::New { missed }
    }

    fn receiver(patterns: &[&str]) -> Receiver {
        let mut receiver = Receiver::default();
        for (number, text) in (1..).zip(patterns) {
            receiver.subscribe(&pattern(text), number);
        }
        receiver
    }

    #[test]
    fn what_is_missing_is_counted_by_topic() {
        let (mut source, mut receiver) = (Source::default(), receiver(&["a", "b"]));
        receiver.on_seen(A, &[1, 2]);
        let (a, b) = (pattern("a"), pattern("b"));
        let mut send = |topic: &Pattern| source.next(topic);
        let first = send(&a);
        assert_eq!(receiver.on_message(A, &a, first), new(0));
        let (second, other) = (send(&a), send(&b));
        assert_eq!(receiver.on_message(A, &b, other), new(0));
        let third = send(&a);
        assert_eq!(receiver.on_message(A, &a, third), new(1));
        assert_eq!(receiver.on_message(A, &a, second), Verdict::Ignored);
        assert_eq!(receiver.on_message(A, &a, third), Verdict::Ignored);
    }

    #[test]
    fn what_is_lost_before_the_first_message_is_counted_once_it_is_confirmed() {
        let mut source = Source::default();
        let a = pattern("a");
        for _ in 0..5 {
            source.next(&a); // for others
        }
        let mut receiver = receiver(&["*"]);
        // It comes before the source has seen the subscription.
        let early = source.next(&a);
        assert_eq!(receiver.on_message(A, &a, early), new(0));
        receiver.forget(A);
        source.on_subscription();
        receiver.on_seen(A, &[1]);
        source.next(&a); // lost
        let next = source.next(&a);
        assert_eq!(next, (8, 6));
        assert_eq!(receiver.on_message(A, &a, next), new(1));
        // Another one's subscription does not hide a loss.
        source.next(&a); // lost
        source.on_subscription();
        let next = source.next(&a);
        assert_eq!(next, (10, 9));
        assert_eq!(receiver.on_message(A, &a, next), new(1));
    }

    #[test]
    fn what_is_lost_at_the_end_is_counted_by_the_source() {
        let (mut source, mut receiver) = (Source::default(), receiver(&["a"]));
        receiver.on_seen(A, &[1]);
        assert!(!source.has_untold());
        let (a, b) = (pattern("a"), pattern("b"));
        let first = source.next(&a);
        assert_eq!(receiver.on_message(A, &a, first), new(0));
        source.next(&a);
        source.next(&a);
        source.next(&b);
        assert!(source.has_untold());
        let mut counts = source.take_untold();
        counts.sort_by_key(|count| count.topic.to_string());
        assert!(!source.has_untold());
        let missed: Vec<_> = counts.iter().map(|one| receiver.on_count(A, one)).collect();
        assert_eq!(missed, [2, 0], "nobody here wants the other one");
        assert_eq!(receiver.on_count(A, &counts[0]), 0);
    }

    #[test]
    fn a_subscription_that_ended_is_forgotten() {
        let (mut source, mut receiver) = (Source::default(), receiver(&["a", "b"]));
        receiver.on_seen(A, &[1, 2, 3]);
        let a = pattern("a");
        assert_eq!(receiver.unconfirmed(A, &[a.clone(), pattern("b")]), 0);
        let first = source.next(&a);
        assert_eq!(receiver.on_message(A, &a, first), new(0));
        assert_eq!(receiver.first_match(&a), Some(1));
        assert_eq!(receiver.unsubscribe(&a), Some(1));
        assert_eq!(receiver.unsubscribe(&a), None);
        assert_eq!(receiver.first_match(&a), None);
        let second = source.next(&a);
        assert_eq!(receiver.on_message(A, &a, second), Verdict::Ignored);
        // Again, and the source has not seen it.
        receiver.subscribe(&a, 3);
        assert_eq!(receiver.unconfirmed(A, &[a.clone(), pattern("b")]), 1);
        source.next(&a);
        let fourth = source.next(&a);
        assert_eq!(receiver.on_message(A, &a, fourth), new(0));
    }

    #[test]
    fn numbers_of_a_stranger_are_bounded() {
        let mut receiver = receiver(&["**"]);
        receiver.on_seen(A, &[1]);
        for nth in 0..=MAX_TOPICS {
            let topic = pattern(&format!("a/{nth}"));
            assert_eq!(receiver.on_message(A, &topic, (2, 0)), new(1));
        }
        assert_eq!(receiver.sources[&A].last.len(), 1);
        assert_eq!(receiver.on_message(A, &pattern("b"), (u64::MAX, 7)), new(0));
        assert_eq!(
            receiver.on_message(A, &pattern("c"), (0, 0)),
            Verdict::Ignored
        );
        assert_eq!(receiver.on_message(A, &pattern("d"), (1, u64::MAX)), new(0));
        for id in 0..5000 {
            receiver.on_message(ParticipantId(id), &pattern("a"), (1, 0));
        }
        assert_eq!(receiver.sources.len(), MAX_SOURCES);
    }
}
