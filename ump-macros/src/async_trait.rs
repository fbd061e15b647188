//! The attribute `async_trait`: see its documentation in `lib.rs`.

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::tokens::{Error, elided_lifetime, is_ident, is_punct, refill};

/// The traits whose implementations the attribute accepts.
const HANDLERS: [&str; 2] = ["Handler", "AsyncHandler"];
/// The methods that `ump-server` 0.4 declared without `async`.
const SYNC_IN_0_4: [&str; 2] = ["init", "term"];

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    if let Some(argument) = arguments.into_iter().next() {
        return Err(Error::new(
            argument.span(),
            "`async_trait` takes no arguments",
        ));
    }
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    if !implements_handler(&tokens) {
        let place = tokens.first().map_or_else(Span::call_site, TokenTree::span);
        return Err(Error::new(
            place,
            "`ump_server::async_trait` is for implementations of `task::Handler`; \
             for another trait use the crate `async-trait`",
        ));
    }
    if let Some(TokenTree::Group(body)) = tokens.last() {
        let body = refill(body, methods(body.stream()));
        tokens.pop();
        tokens.push(body);
    }
    Ok(tokens.into_iter().collect())
}

/// Returns whether this is `impl<..> path::Handler<..> for .. { .. }`.
fn implements_handler(tokens: &[TokenTree]) -> bool {
    let body = matches!(tokens.last(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace);
    let is_impl = tokens.iter().any(|token| is_ident(Some(token), "impl"));
    let mut before_for = tokens
        .iter()
        .take_while(|token| !is_ident(Some(token), "for"));
    body && is_impl
        && before_for.any(|token| HANDLERS.iter().any(|name| is_ident(Some(token), name)))
}

/// Returns the methods of the block in the form of the current trait.
fn methods(body: TokenStream) -> Vec<TokenTree> {
    let mut methods = Vec::new();
    let mut tokens = body.into_iter().peekable();
    // Whether the next group in parentheses is the parameters of a method.
    let mut parameters = false;
    while let Some(token) = tokens.next() {
        if is_ident(Some(&token), "fn") {
            let sync_in_0_4 = SYNC_IN_0_4.iter().any(|name| is_ident(tokens.peek(), name));
            if sync_in_0_4 && !is_ident(methods.last(), "async") {
                methods.push(Ident::new("async", token.span()).into());
            }
            parameters = true;
        }
        match token {
            TokenTree::Group(group)
                if parameters && group.delimiter() == Delimiter::Parenthesis =>
            {
                parameters = false;
                methods.push(with_lifetimes(&group));
            }
            token => methods.push(token),
        }
    }
    methods
}

/// Replaces `ReplyContext<R, E>` by `ReplyContext<'_, R, E>`, wherever it is in the group.
fn with_lifetimes(group: &Group) -> TokenTree {
    let mut out: Vec<TokenTree> = Vec::new();
    let mut tokens = group.stream().into_iter().peekable();
    while let Some(token) = tokens.next() {
        let opens = is_ident(out.last(), "ReplyContext") && is_punct(Some(&token), '<');
        let span = token.span();
        match token {
            TokenTree::Group(group) => out.push(with_lifetimes(&group)),
            token => out.push(token),
        }
        if opens && !is_punct(tokens.peek(), '\'') {
            out.extend(elided_lifetime(span));
        }
    }
    refill(group, out)
}
