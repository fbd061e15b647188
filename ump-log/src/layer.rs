//! The layer: encodes a record on the caller's thread, and hands it to each sink.

use std::{cell::Cell, fmt, sync::Arc};

use tracing::{
    Event, Subscriber,
    span::{Attributes, Id, Record as Values},
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::LookupSpan,
};

use crate::{
    ports::Ports,
    record::{Encoder, Header, begin_span, keep_latest},
    suppress,
    time::Calendar,
};

thread_local! {
    /// Where this thread encodes. A record that is made while another is encoded, by a `Debug` of
    /// the program's, finds an empty one.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A thread keeps no more memory than this.
const KEPT: usize = 16 * 1024;

/// Hands records to the sinks.
pub(crate) struct LogLayer {
    pub(crate) ports: Arc<Ports>,
    pub(crate) calendar: Calendar,
    /// The most bytes of the fields of a record.
    pub(crate) longest: usize,
}

impl fmt::Debug for LogLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLayer").finish_non_exhaustive()
    }
}

/// The name and the fields of a span, encoded.
struct SpanFields(Vec<u8>);

impl LogLayer {
    fn push(&self, header: Header, fields: &[u8]) {
        for port in self.ports.iter() {
            port.push(header, fields);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let Some(span) = cx.span(id).filter(|_| !suppress::is_suppressed()) else {
            return;
        };
        let mut fields = Vec::new();
        let mut encoder = Encoder::new(&mut fields, self.longest);
        attributes.record(&mut encoder);
        encoder.finish();
        span.extensions_mut().replace(SpanFields(fields));
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, cx: Context<'_, S>) {
        let Some(span) = cx.span(id).filter(|_| !suppress::is_suppressed()) else {
            return;
        };
        // Outside of the lock on the span, as it runs code of the program.
        let mut added = Vec::new();
        let mut encoder = Encoder::new(&mut added, self.longest);
        values.record(&mut encoder);
        encoder.finish();
        let mut extensions = span.extensions_mut();
        if let Some(SpanFields(fields)) = extensions.get_mut() {
            fields.extend_from_slice(&added);
            keep_latest(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        if suppress::is_suppressed() {
            return;
        }
        let micros = self.calendar.micros();
        let metadata = event.metadata();
        let header = Header {
            micros,
            level: *metadata.level(),
            target: metadata.target(),
            file: metadata.file(),
            line: metadata.line(),
        };
        // While a thread ends, its own memory may be gone.
        let mut bytes = SCRATCH.try_with(Cell::take).unwrap_or_default();
        bytes.clear();
        let mut encoder = Encoder::new(&mut bytes, self.longest);
        event.record(&mut encoder);
        let span = cx.event_span(event);
        if let Some(span) = &span {
            for span in span.scope() {
                begin_span(encoder.bytes, span.name());
                if let Some(SpanFields(fields)) = span.extensions().get() {
                    encoder.encoded(fields);
                }
            }
        }
        encoder.finish();
        self.push(header, &bytes);
        if bytes.capacity() <= KEPT {
            let _ = SCRATCH.try_with(|scratch| scratch.set(bytes));
        }
    }
}
