//! A method of the block.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Error, Result, Visibility, ext::IdentExt, parse::ParseStream, spanned::Spanned,
};

use super::{
    answer::Answer,
    kind::{self, Kind},
    names,
    params::Param,
    signature::Signature,
    tokens::{self, Scope},
};

/// A method that concerns the macro.
pub(crate) struct Method {
    pub(crate) kind: Kind,
    pub(crate) visibility: Visibility,
    pub(crate) is_async: bool,
    pub(crate) name: Ident,
    /// The name of the method as the variant of an enum.
    pub(crate) variant: Ident,
    /// The parameters that become fields of the message.
    pub(crate) params: Vec<Param>,
    pub(crate) answer: Answer,
    /// The place of the return type, for errors in it.
    pub(crate) output_span: Span,
    attributes: Vec<Attribute>,
}

/// A member of the block that is a method.
pub(crate) struct Member {
    /// The member without the attributes of the macro.
    pub(crate) emitted: TokenStream,
    pub(crate) method: Result<Method>,
}

impl Member {
    /// Parses a member of the block. Returns nothing if it does not concern the macro.
    pub(crate) fn parse(input: ParseStream<'_>, scope: &Scope) -> Result<Option<Self>> {
        let attributes = input.call(Attribute::parse_outer)?;
        let (own, attributes): (Vec<_>, Vec<_>) = attributes.into_iter().partition(kind::is_own);
        let rest: TokenStream = input.fork().parse()?;
        let written = quote! { #(#attributes)* #rest };
        let method = match (Signature::parse(input), own.first()) {
            (Ok(Some(signature)), _) => Method::new(signature, &own, attributes, scope),
            (Ok(None), None) => return input.parse::<TokenStream>().map(|_| None),
            (Ok(None), Some(own)) => Err(Error::new(own.span(), "this attribute is for a method")),
            (Err(error), _) => Err(error),
        };
        // The body, and what an error has left.
        input.parse::<TokenStream>()?;
        // A service demands a receiver, and arguments by value.
        let lints = quote!(clippy::needless_pass_by_value, clippy::unused_self);
        let emitted = match &method {
            Ok(_) => quote!(#[allow(#lints)] #written),
            Err(_) => written,
        };
        Ok(Some(Self { emitted, method }))
    }
}

impl Method {
    fn new(
        signature: Signature,
        own: &[Attribute],
        attributes: Vec<Attribute>,
        scope: &Scope,
    ) -> Result<Self> {
        let kind = Kind::of(own)?;
        signature.check()?;
        let output_span = names::generated(signature.output_span());
        let mut params = signature.params;
        let taken = match params.last() {
            Some(last) if kind.has_message() => Answer::taken(&last.written, scope)?,
            _ => None,
        };
        if taken.is_some() {
            params.pop();
        }
        if let Some(early) = (params.iter()).find(|param| Answer::is_reply_to(&param.written)) {
            let message = if taken.is_some() {
                "a method takes one `ReplyTo`"
            } else {
                "a method takes its `ReplyTo` as its last parameter"
            };
            return Err(Error::new(early.written.span(), message));
        }
        let answer = match (taken, &kind) {
            (Some(answer), _) => answer,
            (None, Kind::Request) => Answer::returned(&signature.output, scope)?,
            (None, kind) if kind.is_of_batches() => Answer::of_hook(&signature.output, scope)?,
            (None, _) => Answer::none(),
        };
        if let Some(surplus) = params.get(kind.most_params()) {
            let message = kind.params_message();
            return Err(Error::new(surplus.name.span(), message));
        }
        if let Some(message) = kind.lacks(params.len()) {
            return Err(Error::new(signature.name.span(), message));
        }
        if !kind.is_hook() {
            for param in &mut params {
                param.check_sized()?;
                param.ty = scope.owned(&param.ty, "an argument")?;
            }
        }
        Ok(Self {
            kind,
            visibility: signature.visibility,
            is_async: signature.is_async,
            variant: names::variant(&signature.name),
            name: signature.name,
            params,
            answer,
            output_span,
            attributes,
        })
    }

    /// Returns the attributes that decide whether the method exists.
    pub(crate) fn cfg(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes_named(&["cfg"])
    }

    /// Returns the attributes that the client's method has as well.
    pub(crate) fn of_client(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes_named(&["cfg", "doc", "deprecated", "allow"])
    }

    pub(crate) fn is_documented(&self) -> bool {
        self.attributes_named(&["doc"]).next().is_some()
    }

    /// Returns the attributes with these names, also if a `cfg_attr` has them and no others.
    fn attributes_named(&self, names: &'static [&str]) -> impl Iterator<Item = &Attribute> {
        let is_named = |name: &Ident| names.iter().any(|known| name == known);
        self.attributes.iter().filter(move |attribute| {
            let name = attribute.path().get_ident();
            if name.is_some_and(|name| name == "cfg_attr") {
                let within = tokens::attributes_within(attribute);
                return !within.is_empty() && within.iter().all(is_named);
            }
            name.is_some_and(is_named)
        })
    }

    /// Returns the name of the method in reports.
    pub(crate) fn kind_name(&self) -> String {
        self.name.unraw().to_string()
    }

    /// Returns the call of the method on `self`. An error in its type is one of the return type.
    pub(crate) fn call(&self, arguments: &TokenStream) -> TokenStream {
        let (name, span) = (&self.name, self.output_span);
        let awaited = self.is_async.then(|| quote_spanned!(span=> .await));
        quote_spanned!(span=> self.#name(#arguments) #awaited)
    }
}
