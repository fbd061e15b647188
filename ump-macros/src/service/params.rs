//! A parameter of a method.

use proc_macro2::{Ident, Spacing, Span, TokenStream, TokenTree};
use syn::{Error, Result, Type, spanned::Spanned};

use super::tokens;

/// A parameter of a method, which becomes a field of its message.
pub(crate) struct Param {
    /// The name of the field: that of the parameter, if it has one.
    pub(crate) name: Ident,
    /// The type of the field.
    pub(crate) ty: TokenStream,
    /// The type as it is written.
    pub(crate) written: Type,
}

impl Param {
    /// Parses the parameter with this index.
    pub(crate) fn parse(index: usize, input: TokenStream) -> Result<Self> {
        let mut tokens = input.into_iter().peekable();
        let mut pattern = Vec::new();
        while let Some(token) = tokens.next() {
            if let TokenTree::Punct(punct) = &token {
                if punct.as_char() == '#' {
                    let message = "a parameter of a service's method has no attributes";
                    return Err(Error::new(punct.span(), message));
                }
                let is_path = punct.spacing() == Spacing::Joint
                    && tokens
                        .peek()
                        .is_some_and(|next| tokens::is_punct(next, ':'));
                if punct.as_char() == ':' && !is_path {
                    break;
                }
                if is_path {
                    pattern.extend(tokens.next());
                }
            }
            pattern.push(token);
        }
        let ty: TokenStream = tokens.collect();
        if ty.is_empty() {
            let place = pattern.last().map_or_else(Span::call_site, TokenTree::span);
            return Err(Error::new(place, "expected the type of this parameter"));
        }
        let written = syn::parse2(ty.clone())?;
        let name = named(&pattern).unwrap_or_else(|| {
            let place = pattern
                .first()
                .map_or_else(Span::call_site, TokenTree::span);
            Ident::new(&format!("argument_{index}"), place)
        });
        Ok(Self { name, ty, written })
    }
}

impl Param {
    /// Checks that the type can be that of a field.
    pub(crate) fn check_sized(&self) -> Result<()> {
        let is_unsized = match &self.written {
            Type::Slice(_) | Type::TraitObject(_) => true,
            Type::Path(path) => path.qself.is_none() && path.path.is_ident("str"),
            _ => false,
        };
        if is_unsized {
            let message = "an argument goes to another thread or task, so it is an owned type of known size, \
                           such as `Vec<..>`, `String` or `Box<..>`";
            return Err(Error::new(self.written.span(), message));
        }
        Ok(())
    }
}

/// Returns the name, if the pattern is one: `name` or `mut name`.
fn named(pattern: &[TokenTree]) -> Option<Ident> {
    let name = match pattern {
        [TokenTree::Ident(name)] => name,
        [modifier, TokenTree::Ident(name)] if tokens::is_ident(modifier, "mut") => name,
        _ => return None,
    };
    (name != "_").then(|| name.clone())
}
