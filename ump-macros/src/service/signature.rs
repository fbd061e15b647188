//! The signature of a method, as it is written.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use syn::{
    Error, Generics, LitStr, Result, ReturnType, Token, Visibility, WhereClause, ext::IdentExt,
    parenthesized, parse::ParseStream, spanned::Spanned,
};

use super::{params::Param, tokens};

/// The signature of a method, as it is written.
pub(crate) struct Signature {
    pub(crate) visibility: Visibility,
    pub(crate) is_async: bool,
    pub(crate) name: Ident,
    pub(crate) params: Vec<Param>,
    pub(crate) output: ReturnType,
    unsafety: Option<Token![unsafe]>,
    generics: Generics,
    clause: Option<WhereClause>,
    receiver: TokenStream,
}

impl Signature {
    /// Parses a signature, and leaves the body. Returns nothing if it is no method.
    pub(crate) fn parse(input: ParseStream<'_>) -> Result<Option<Self>> {
        let visibility = input.parse()?;
        input.parse::<Option<Token![const]>>()?;
        let is_async = input.parse::<Option<Token![async]>>()?.is_some();
        let unsafety = input.parse()?;
        if input.parse::<Option<Token![extern]>>()?.is_some() {
            input.parse::<Option<LitStr>>()?;
        }
        if input.parse::<Option<Token![fn]>>()?.is_none() {
            return Ok(None);
        }
        let name = input.call(Ident::parse_any)?;
        let generics = input.parse()?;
        let inputs;
        parenthesized!(inputs in input);
        let mut inputs = split(inputs.parse()?).into_iter();
        let Some(receiver) = inputs.next().filter(is_receiver) else {
            return Ok(None);
        };
        let params = (inputs.enumerate())
            .map(|(index, tokens)| Param::parse(index, tokens))
            .collect::<Result<_>>()?;
        let output = input.parse()?;
        let clause = input.parse()?;
        Ok(Some(Self {
            visibility,
            is_async,
            name,
            params,
            output,
            unsafety,
            generics,
            clause,
            receiver,
        }))
    }

    /// Returns the place of the return type.
    pub(crate) fn output_span(&self) -> Span {
        match &self.output {
            ReturnType::Default => self.name.span(),
            ReturnType::Type(_, output) => output.span(),
        }
    }

    /// Checks what no method of a service can have.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(unsafety) = self.unsafety {
            let message = "clients call the methods of a service, and cannot keep the contract of an \
                           unsafe one";
            return Err(Error::new(unsafety.span(), message));
        }
        if let Some(generic) = self.generics.params.first() {
            let message = "a message has one type, so a method of a service has no parameters of its \
                           own: declare them on the `impl` block";
            return Err(Error::new(generic.span(), message));
        }
        let mut predicates = self.clause.iter().flat_map(|clause| &clause.predicates);
        if let Some(predicate) = predicates.next() {
            let message = "a client may always ask for a method of a service, so the method has no bounds of \
                           its own: declare them on the `impl` block";
            return Err(Error::new(predicate.span(), message));
        }
        let mut receiver = self.receiver.clone().into_iter();
        let is_borrowed = receiver
            .next()
            .is_some_and(|token| tokens::is_punct(&token, '&'));
        let is_part = |token| tokens::is_ident(&token, "mut") || tokens::is_ident(&token, "self");
        if is_borrowed && receiver.all(is_part) {
            return Ok(());
        }
        let message = "the methods of a service take `&mut self` or `&self`";
        Err(Error::new_spanned(&self.receiver, message))
    }
}

/// Splits the inputs of a function at their commas.
fn split(inputs: TokenStream) -> Vec<TokenStream> {
    let mut split = Vec::new();
    let mut current = TokenStream::new();
    let mut depth = 0;
    let mut before = None;
    for token in inputs {
        let ch = match &token {
            TokenTree::Punct(punct) => Some(punct.as_char()),
            _ => None,
        };
        match ch {
            Some('<') => depth += 1,
            // Not that of an arrow.
            Some('>') if before != Some('-') => depth -= 1,
            Some(',') if depth == 0 => {
                split.push(std::mem::take(&mut current));
                continue;
            }
            _ => {}
        }
        before = ch;
        current.extend([token]);
    }
    if !current.is_empty() {
        split.push(current);
    }
    split
}

/// Returns whether it is the receiver of a method.
fn is_receiver(input: &TokenStream) -> bool {
    let is_attribute = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Bracket,
        token => tokens::is_punct(token, '#'),
    };
    let mut tokens = input.clone().into_iter().skip_while(is_attribute);
    loop {
        match tokens.next() {
            Some(token) if tokens::is_ident(&token, "self") => return true,
            // `&'a mut self`
            Some(token) if tokens::is_punct(&token, '&') || tokens::is_ident(&token, "mut") => {}
            Some(token) if tokens::is_punct(&token, '\'') => drop(tokens.next()),
            _ => return false,
        }
    }
}
