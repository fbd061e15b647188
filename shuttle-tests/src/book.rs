//! What has become of each message and of each reply, written down by those who had them in their hands.
//!
//! It is not part of what is modelled: nobody else runs while somebody writes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ump::Stats;

/// The book of one model.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    lines: Vec<Line>,
    /// How many have been taken.
    taken: usize,
    /// How many answers found somebody who waited, or a post.
    welcome: Answers,
}

#[derive(Debug, Default)]
struct Answers {
    replies: u64,
    refusals: u64,
}

/// What is known about one message.
#[derive(Debug)]
struct Line {
    author: Author,
    /// When it was taken: so many had been before.
    taken: Option<usize>,
    message_drops: usize,
    replies: usize,
    reply_drops: usize,
    end: Option<End>,
}

/// One whose messages are taken in the order in which they were written: a caller, in one of its lanes, to one of the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Author {
    /// Who asks.
    pub caller: usize,
    /// In which lane.
    pub urgent: bool,
}

/// How a request ended for the one who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// In a reply.
    Replied,
    /// In the error of the handler.
    Failed,
    /// Without an answer.
    NoReply,
    /// The server was gone.
    ServerDisappeared,
    /// Too late, not executed.
    TimeoutQueued,
    /// Too late, perhaps executed.
    TimeoutTaken,
    /// There was no room.
    Full,
    /// It left before there was an outcome.
    Left,
    /// It was accepted, and nobody waits for a reply.
    Posted,
    /// It was never sent.
    Unsent,
}

/// How often each end occurred.
pub type Ends = BTreeMap<End, u64>;

/// What is sent.
#[derive(Debug)]
pub struct Message(usize, Book);

/// What comes back, as a reply or as the handler's error.
#[derive(Debug)]
pub struct Reply(usize, Book);

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        // A model that fails unwinds with it in its hands.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line<T>(&self, number: usize, write: impl FnOnce(&mut Line) -> T) -> T {
        write(&mut self.pages().lines[number])
    }

    /// A new message of this author.
    #[must_use]
    pub fn write(&self, author: Author) -> Message {
        let mut pages = self.pages();
        pages.lines.push(Line {
            author,
            taken: None,
            message_drops: 0,
            replies: 0,
            reply_drops: 0,
            end: None,
        });
        Message(pages.lines.len() - 1, self.clone())
    }

    /// How the request with message `number` ended for its caller.
    ///
    /// # Panics
    /// If it had ended before.
    pub fn end(&self, number: usize, end: End) {
        let before = self.line(number, |line| line.end.replace(end));
        assert_eq!(before, None, "it ends once");
    }

    /// An answer was given to somebody.
    pub fn welcome(&self, is_reply: bool) {
        let mut pages = self.pages();
        if is_reply {
            pages.welcome.replies += 1;
        } else {
            pages.welcome.refusals += 1;
        }
    }

    /// Compares it with itself and with the channels' own books, once all is over. Returns how often each end occurred.
    ///
    /// # Panics
    /// If they differ.
    #[must_use]
    pub fn close(&self, stats: Stats) -> Ends {
        assert_eq!((stats.queued, stats.taken), (0, 0), "{stats:?}");
        assert_eq!(stats.accepted, stats.ended(), "{stats:?}");
        let pages = self.pages();
        let mut ends = Ends::new();
        for line in &pages.lines {
            line.check();
            *ends.entry(line.end.expect("checked")).or_default() += 1;
        }
        let count = |of: &[End]| of.iter().filter_map(|end| ends.get(end)).sum::<u64>();
        let untaken = stats.server_disappeared + stats.timeout_queued + stats.cancelled_queued;
        assert_eq!(stats.accepted - untaken, pages.taken as u64, "{stats:?}");
        let sent = pages.lines.len() as u64 - count(&[End::Unsent]);
        assert_eq!(stats.accepted + stats.refused, sent, "{stats:?} {ends:?}");
        assert_eq!(stats.replied, pages.welcome.replies, "{stats:?}");
        assert_eq!(stats.failed, pages.welcome.refusals, "{stats:?}");
        // What the callers saw; the rest are posts, and those that left without looking.
        let unseen = count(&[End::Left, End::Posted]);
        for (end, counted) in [
            (End::Replied, stats.replied),
            (End::Failed, stats.failed),
            (End::NoReply, stats.no_reply),
            (End::TimeoutTaken, stats.timeout_taken),
        ] {
            let seen = count(&[end]);
            assert!(
                (seen..=seen + unseen).contains(&counted),
                "{end:?} {stats:?} {ends:?}"
            );
        }
        ends
    }

    /// Asserts that of each author and lane the messages were taken in the order in which they were written. This holds where one worker
    /// takes them; of several one may be late to write down what it has taken first.
    ///
    /// # Panics
    /// If they were not.
    pub fn assert_in_order(&self) {
        let pages = self.pages();
        let mut latest = BTreeMap::new();
        for line in &pages.lines {
            if let Some(at) = line.taken {
                let before = latest.insert(line.author, at);
                assert!(before < Some(at), "overtaken: {line:?}");
            }
        }
    }

    /// This caller waits for none of its messages any more.
    pub fn leave_the_rest(&self, caller: usize) {
        let mut pages = self.pages();
        let lines = pages.lines.iter_mut();
        for line in lines.filter(|line| line.author.caller == caller) {
            line.end.get_or_insert(End::Left);
        }
    }
}

impl Line {
    fn check(&self) {
        assert_eq!(self.message_drops, 1, "dropped once: {self:?}");
        assert_eq!(self.replies, self.reply_drops, "dropped once: {self:?}");
        let taken = self.taken.is_some();
        let fits = match self.end {
            None => false,
            Some(End::Replied | End::Failed) => taken && self.replies == 1,
            Some(End::NoReply) => taken && self.replies == 0,
            Some(End::TimeoutTaken) => taken,
            Some(End::ServerDisappeared | End::TimeoutQueued | End::Full | End::Unsent) => !taken,
            Some(End::Left | End::Posted) => true,
        };
        assert!(fits, "{self:?}");
    }
}

impl Message {
    /// Its number in the book.
    #[must_use]
    pub fn number(&self) -> usize {
        self.0
    }

    /// A handler has it in its hands. Returns what it answers with.
    ///
    /// # Panics
    /// If another had it before.
    #[must_use]
    pub fn take(self) -> Answer {
        let Self(number, ref book) = self;
        let mut pages = book.pages();
        let Pages { lines, taken, .. } = &mut *pages;
        *taken += 1;
        let before = lines[number].taken.replace(*taken);
        assert_eq!(before, None, "taken twice: {:?}", lines[number]);
        drop(pages);
        Answer(number, book.clone())
    }
}

/// The right to make one reply.
#[derive(Debug)]
pub struct Answer(usize, Book);

impl Answer {
    /// The reply.
    #[must_use]
    pub fn make(&self) -> Reply {
        let Self(number, book) = self;
        book.line(*number, |line| line.replies += 1);
        Reply(*number, book.clone())
    }

    /// The book it belongs to.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.1
    }
}

impl Reply {
    /// The number of the message that it answers.
    #[must_use]
    pub fn number(&self) -> usize {
        self.0
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.1.line(self.0, |line| line.message_drops += 1);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.1.line(self.0, |line| line.reply_drops += 1);
    }
}
