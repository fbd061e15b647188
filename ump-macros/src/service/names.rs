//! The names of what the macro makes.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;

use super::{arguments::Arguments, method::Method};

/// The names of what the macro makes: that of the service, and what the thing is.
pub(crate) struct Names {
    service: Ident,
    pub(crate) client: Ident,
    pub(crate) request: Ident,
    pub(crate) reply: Ident,
    pub(crate) error: Ident,
    pub(crate) timer: Ident,
    /// The client of a topic, if there is one.
    pub(crate) topic: Option<Ident>,
    /// Whether the enum of errors has a variant `StartError`.
    pub(crate) has_start_error: bool,
}

impl Names {
    pub(crate) fn new(arguments: &Arguments, service: &Ident) -> Self {
        let chosen = |chosen: &Option<Ident>, suffix: &str| match chosen {
            Some(name) => Ident::new(&name.to_string(), generated(name.span())),
            None => join(service, suffix, service.span()),
        };
        Self {
            service: service.clone(),
            client: chosen(&arguments.client, "Client"),
            request: chosen(&arguments.request, "Request"),
            reply: chosen(&arguments.reply, "Reply"),
            error: chosen(&arguments.error, "Refusal"),
            timer: chosen(&arguments.timer, "Timer"),
            has_start_error: arguments.start_error.is_some(),
            topic: (arguments.topic.as_ref()).map(|_| join(service, "Topic", service.span())),
        }
    }

    /// Returns the name of a method's message.
    pub(crate) fn message(&self, method: &Method) -> Ident {
        join(
            &self.service,
            &method.variant.to_string(),
            method.name.span(),
        )
    }

    /// Returns the names that do not depend on a method, and what they are of.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Ident, &'static str)> {
        let topic = self.topic.iter();
        let always = [
            (&self.client, "the client"),
            (&self.request, "the enum of requests"),
            (&self.reply, "the enum of replies"),
            (&self.error, "the enum of errors"),
            (&self.timer, "the enum of timers"),
        ];
        let topic = topic.map(|name| (name, "the client of a topic"));
        always.into_iter().chain(topic)
    }
}

fn join(service: &Ident, suffix: &str, place: Span) -> Ident {
    let service = service.unraw();
    Ident::new(&format!("{service}{suffix}"), generated(place))
}

/// Returns the name of the variant for a method: `look_up` becomes `LookUp`.
pub(crate) fn variant(method: &Ident) -> Ident {
    let name = method.unraw().to_string();
    let variant: String = name
        .split('_')
        .flat_map(|word| {
            let mut chars = word.chars();
            let first = chars.next().into_iter().flat_map(char::to_uppercase);
            first.chain(chars).collect::<Vec<_>>()
        })
        .collect();
    let span = generated(method.span());
    if variant == "Self" || variant.is_empty() || variant.starts_with(|ch: char| ch.is_numeric()) {
        // No variant can have this name.
        return Ident::new(&format!("_{variant}"), span);
    }
    Ident::new(&variant, span)
}

/// Returns the span of generated code: at the user's place, but of the macro, so that lints on the
/// user's code do not concern it.
pub(crate) fn generated(place: Span) -> Span {
    Span::call_site().located_at(place)
}
