//! Helpers that look at types as tokens.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use syn::{Attribute, Error, Result};

pub(crate) fn is_punct(token: &TokenTree, ch: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ch)
}

pub(crate) fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

/// Returns the names of the attributes that a `cfg_attr` has, and of a path its first part.
pub(crate) fn attributes_within(cfg_attr: &Attribute) -> Vec<Ident> {
    let Ok(list) = cfg_attr.meta.require_list() else {
        return Vec::new();
    };
    let tokens: Vec<_> = list.tokens.clone().into_iter().collect();
    // The first part is the condition.
    let parts = tokens.split(|token| is_punct(token, ',')).skip(1);
    parts
        .filter_map(|part| match part {
            [TokenTree::Ident(name), ..] => Some(name.clone()),
            _ => None,
        })
        .collect()
}

/// Returns whether an identifier occurs in the tokens.
pub(crate) fn mentions<I>(tokens: &TokenStream, name: &I) -> bool
where
    I: ?Sized,
    Ident: PartialEq<I>,
{
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == *name,
        TokenTree::Group(group) => mentions(&group.stream(), name),
        _ => false,
    })
}

/// Returns whether the tokens name an associated type or item of `name`, so that they need its
/// bounds.
pub(crate) fn projects(tokens: &TokenStream, name: &Ident) -> bool {
    let mut before: Option<TokenTree> = None;
    for token in tokens.clone() {
        if let TokenTree::Group(group) = &token {
            if projects(&group.stream(), name) {
                return true;
            }
        }
        let is_after = matches!(&before, Some(TokenTree::Ident(ident)) if ident == name);
        if is_after && (is_punct(&token, ':') || is_ident(&token, "as")) {
            return true;
        }
        before = Some(token);
    }
    false
}

/// The names that the types in the block refer to.
pub(crate) struct Scope {
    /// The path of the crate `ump-server`.
    pub(crate) krate: TokenStream,
    /// The type that `Self` stands for.
    pub(crate) self_type: TokenStream,
}

impl Scope {
    /// Returns a type as it is called outside of the block, if it can be part of a message.
    pub(crate) fn owned(&self, ty: &TokenStream, what: &str) -> Result<TokenStream> {
        check_owned(ty, what)?;
        Ok(self.without_self(ty.clone()))
    }

    /// Replaces `Self`, for a type that is used outside of the block.
    pub(crate) fn without_self(&self, ty: TokenStream) -> TokenStream {
        let replace = |token| match token {
            TokenTree::Ident(ident) if ident == "Self" => self.self_type.clone(),
            TokenTree::Group(group) => {
                let mut replaced = Group::new(group.delimiter(), self.without_self(group.stream()));
                replaced.set_span(group.span());
                TokenTree::Group(replaced).into()
            }
            token => token.into(),
        };
        ty.into_iter().flat_map(replace).collect()
    }
}

/// Checks that a type can be part of a message: that it is one type, and borrows nothing.
fn check_owned(tokens: &TokenStream, what: &str) -> Result<()> {
    let mut tokens = tokens.clone().into_iter().peekable();
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Ident(ident) if ident == "impl" => {
                let message = format!("{what} needs a type that can be named");
                return Err(Error::new(ident.span(), message));
            }
            // What a function borrows is for its caller. The compiler checks the rest.
            TokenTree::Ident(ident)
                if ["fn", "Fn", "FnMut", "FnOnce"]
                    .iter()
                    .any(|name| ident == name) =>
            {
                return Ok(());
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                let is_lifetime = tokens.peek().is_some_and(|token| is_punct(token, '\''));
                if !is_lifetime {
                    return Err(borrows(punct.span(), what));
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                let lifetime = tokens.next();
                if !lifetime.is_some_and(|token| is_ident(&token, "static")) {
                    return Err(borrows(punct.span(), what));
                }
            }
            TokenTree::Group(group) => check_owned(&group.stream(), what)?,
            _ => {}
        }
    }
    Ok(())
}

fn borrows(span: Span, what: &str) -> Error {
    let message = format!("{what} goes to another thread or task, so it cannot borrow");
    Error::new(span, message)
}
