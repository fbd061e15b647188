//! The attribute `service`: see its documentation in `lib.rs`.
//!
//! ```text
//!   tokens ──block──► Block ──────────────► the same tokens, without the attributes of the macro
//!                       │ methods
//!                       ▼
//!                    Method ──expand──► messages, enums, client, handler
//! ```
//!
//! - The block is parsed as far as the signatures of its methods. Bodies stay tokens, so that one
//!   that is being written does not keep an editor from completing it.
//! - An error concerns one method. The others are expanded all the same, and the block is emitted
//!   in any case.
//! - Generated names have the place of the user's tokens, for messages, and the hygiene of the
//!   macro, for lints. Local variables have hygiene of their own ([`Span::mixed_site`]), so that no
//!   name of the user's can capture them.

mod answer;
mod arguments;
mod block;
mod expand;
mod kind;
mod method;
mod names;
mod params;
mod signature;
#[cfg(test)]
mod tests;
mod tokens;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{
    Error, Result,
    parse::{ParseStream, Parser},
};

use self::{arguments::Arguments, block::Block, names::Names};

/// Returns what the attribute with these arguments makes of an item.
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    match try_expand(arguments, item.clone()) {
        Ok(expanded) => expanded,
        Err(error) => {
            let error = error.into_compile_error();
            quote! { #item #error }
        }
    }
}

fn try_expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments = Arguments::parse.parse2(arguments)?;
    let parse = |input: ParseStream<'_>| Block::parse(input, arguments.krate());
    let mut block = parse.parse2(item)?;
    let names = Names::new(&arguments, &block.name);
    block.check(&names);
    let emitted = block.emit();
    let expanded = expand::expand(&arguments, &names, &block);
    let errors = block.errors.iter().map(Error::to_compile_error);
    Ok(quote! { #emitted #expanded #(#errors)* })
}

/// Returns the name of a local variable of the macro, which no name of the user can capture.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
