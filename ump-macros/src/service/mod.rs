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
//! - An error concerns one method. The others are expanded all the same, and the block is emitted in
//!   any case.
//! - Generated names have the place of the user's tokens, for messages, and the hygiene of the
//!   macro, for lints. Local variables have hygiene of their own ([`Span::mixed_site`]), so that no
//!   name of the user's can capture them.

mod arguments;
mod block;
mod expand;
mod method;
mod names;
mod params;
mod tokens;

use proc_macro2::{Span, TokenStream};
use syn::parse::Parser;

use self::{arguments::Arguments, block::Block, names::Names};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let parsed = Arguments::parse
        .parse2(arguments)
        .and_then(|arguments| Ok((arguments, Block::parse.parse2(item.clone())?)));
    let (arguments, mut block) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let error = error.into_compile_error();
            return quote::quote! { #item #error };
        }
    };
    let names = Names::new(&arguments, &block.name);
    block.check(&names);
    let emitted = block.emit();
    let expanded = expand::expand(&arguments, &names, &block);
    let errors = block.errors.iter().map(syn::Error::to_compile_error);
    quote::quote! { #emitted #expanded #(#errors)* }
}

/// Returns a span with the place of `span` and the hygiene of a local variable of the macro.
fn local() -> Span {
    Span::mixed_site()
}
