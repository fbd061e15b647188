//! `Debug` for what the macro makes, unless the user derives it. It needs no bounds, so it shows
//! names only.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::{Context, parameters::Parameters};
use crate::service::tokens;

/// Implements `Debug` for a message, request, reply or error. `body` writes to `f`.
pub(super) fn debug(
    context: &Context<'_>,
    (name, parameters): (&Ident, &Parameters<'_>),
    body: &TokenStream,
) -> Option<TokenStream> {
    let derive = context.arguments.derive.as_ref();
    if derive.is_some_and(|derive| tokens::mentions(derive, "Debug")) {
        return None;
    }
    let (declared, arguments) = (parameters.declared(), parameters.arguments());
    let where_clause = parameters.where_clause();
    Some(quote! {
        #[automatically_derived]
        impl #declared ::core::fmt::Debug for #name #arguments #where_clause {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #body
            }
        }
    })
}
