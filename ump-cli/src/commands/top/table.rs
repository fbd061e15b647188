//! What was received in an interval, by topic.

use std::{collections::HashMap, fmt::Write, time::Instant};

use serde_json::{Value as Json, json};

use crate::payload::one_line;

/// So many topics are kept apart. Those beyond are one row.
const MAX_TOPICS: usize = 10_000;

/// The row of topics beyond [`MAX_TOPICS`].
const OTHERS: &str = "(other topics)";

#[derive(Debug)]
pub(super) struct Table {
    since: Instant,
    topics: HashMap<String, Row>,
    sum: Row,
    missed: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// In this interval.
    messages: u64,
    bytes: u64,
    /// Since the beginning.
    total: u64,
}

impl Row {
    fn add(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
        self.total += 1;
    }

    fn restart(&mut self) {
        (self.messages, self.bytes) = (0, 0);
    }
}

impl Table {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            topics: HashMap::new(),
            sum: Row::default(),
            missed: 0,
        }
    }

    pub(super) fn add(&mut self, topic: &str, bytes: u64) {
        self.sum.add(bytes);
        if let Some(row) = self.topics.get_mut(topic) {
            return row.add(bytes);
        }
        let is_full = self.topics.len() >= MAX_TOPICS;
        let name = if is_full { OTHERS } else { topic };
        self.topics.entry(name.to_owned()).or_default().add(bytes);
    }

    pub(super) fn miss(&mut self, messages: u64) {
        self.missed += messages;
    }

    /// Begins the next interval.
    pub(super) fn restart(&mut self, now: Instant) {
        self.since = now;
        self.sum.restart();
        self.topics.values_mut().for_each(Row::restart);
    }

    /// The busiest topics of the interval, then those of all time.
    fn rows(&self, count: usize) -> Vec<(&str, Row)> {
        let mut rows: Vec<_> = self
            .topics
            .iter()
            .map(|(name, row)| (name.as_str(), *row))
            .collect();
        rows.sort_unstable_by(|(a, x), (b, y)| {
            let keys = (y.messages, y.total).cmp(&(x.messages, x.total));
            keys.then_with(|| a.cmp(b))
        });
        rows.truncate(count);
        rows
    }

    pub(super) fn json(&self, now: Instant, count: usize) -> Json {
        let rows = self.rows(count).into_iter().map(|(topic, row)| {
            json!({"topic": topic, "messages": row.messages, "bytes": row.bytes, "total": row.total})
        });
        json!({
            "seconds": (now - self.since).as_secs_f64(),
            "messages": self.sum.messages,
            "bytes": self.sum.bytes,
            "total": self.sum.total,
            "missed": self.missed,
            "topics": rows.collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self, now: Instant, count: usize) -> String {
        let seconds = (now - self.since).as_secs_f64().max(1e-3);
        #[allow(clippy::cast_precision_loss, reason = "a rate is no exact number")]
        let rate = |count: u64| count as f64 / seconds;
        let mut text = String::new();
        let line = |name: &str, row: Row| {
            let (messages, bytes) = (rate(row.messages), rate(row.bytes) / 1000.0);
            format!("{messages:>11.1} {bytes:>11.1} {:>11}  {name}\n", row.total)
        };
        text.push_str("        msg/s        kB/s       total  topic\n");
        let name = format!("all, {} missed", self.missed);
        text.push_str(&line(&name, self.sum));
        for (name, row) in self.rows(count) {
            text.push_str(&line(&one_line(name), row));
        }
        let hidden = self.topics.len().saturating_sub(count);
        if hidden > 0 {
            // A `String` takes everything.
            let _ = writeln!(text, "{:>35}  and {hidden} more topics", "");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_busiest_topic_is_first() {
        let now = Instant::now();
        let mut table = Table::new(now);
        for (topic, count) in [("a", 1), ("b", 3), ("c", 2)] {
            (0..count).for_each(|_| table.add(topic, 500));
        }
        table.miss(4);
        let text = table.text(now + Duration::from_secs(2), 2);
        let expected = "\
        msg/s        kB/s       total  topic
        3.0         1.5           6  all, 4 missed
        1.5         0.8           3  b
        1.0         0.5           2  c
                                     and 1 more topics
";
        let trimmed = |text: &str| {
            text.lines()
                .map(|it| it.trim().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(trimmed(&text), trimmed(expected));
        table.restart(now);
        assert_eq!(table.json(now, 1)["topics"][0]["topic"], "b");
    }

    #[test]
    fn topics_beyond_the_limit_are_one_row() {
        let mut table = Table::new(Instant::now());
        (0..MAX_TOPICS + 5).for_each(|number| table.add(&format!("t/{number}"), 1));
        assert_eq!(table.topics.len(), MAX_TOPICS + 1);
        assert_eq!(table.topics[OTHERS].total, 5);
    }
}
