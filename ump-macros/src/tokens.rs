//! Helpers for tokens: to find them, to insert them, and to report an error.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// An error at a place in the source.
pub(crate) struct Error {
    span: Span,
    message: &'static str,
}

impl Error {
    pub(crate) fn new(span: Span, message: &'static str) -> Self {
        Self { span, message }
    }

    /// Returns `::core::compile_error! { "message" }`, at the place of the error.
    pub(crate) fn to_compile_error(&self) -> TokenStream {
        let mut message = Literal::string(self.message);
        message.set_span(self.span);
        let body = TokenStream::from(TokenTree::from(message));
        let at = |token: TokenTree| {
            let mut token = token;
            token.set_span(self.span);
            token
        };
        [
            at(Punct::new(':', Spacing::Joint).into()),
            at(Punct::new(':', Spacing::Alone).into()),
            at(Ident::new("core", self.span).into()),
            at(Punct::new(':', Spacing::Joint).into()),
            at(Punct::new(':', Spacing::Alone).into()),
            at(Ident::new("compile_error", self.span).into()),
            at(Punct::new('!', Spacing::Alone).into()),
            at(Group::new(Delimiter::Brace, body).into()),
        ]
        .into_iter()
        .collect()
    }
}

/// Returns whether the token is the identifier or keyword `name`.
pub(crate) fn is_ident(token: Option<&TokenTree>, name: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident.to_string() == name)
}

/// Returns whether the token is the character `ch` of an operator.
pub(crate) fn is_punct(token: Option<&TokenTree>, ch: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ch)
}

/// Returns a copy of the group with other tokens in it, at the same place.
pub(crate) fn refill(group: &Group, tokens: impl IntoIterator<Item = TokenTree>) -> TokenTree {
    let mut refilled = Group::new(group.delimiter(), tokens.into_iter().collect());
    refilled.set_span(group.span());
    refilled.into()
}

/// Returns the tokens `'_,`.
pub(crate) fn elided_lifetime(span: Span) -> [TokenTree; 3] {
    [
        Punct::new('\'', Spacing::Joint).into(),
        Ident::new("_", span).into(),
        Punct::new(',', Spacing::Alone).into(),
    ]
}
