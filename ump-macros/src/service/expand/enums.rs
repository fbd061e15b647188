//! The enums of requests, replies, errors and timers: a variant for each method.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::{Context, parameters::Parameters};
use crate::service::method::Method;

pub(super) fn expand(context: &Context<'_>) -> TokenStream {
    let Context { names, block, .. } = context;
    let requests = block.requests().map(|method| {
        let (cfg, variant, message) = (method.cfg(), &method.variant, names.message(method));
        let fields = method.params.iter().map(|param| &param.ty);
        let own = Parameters::used(&block.generics, &quote!(#(#fields,)*)).arguments();
        let doc = doc(context, method);
        quote!(#(#cfg)* #doc #variant(#message #own))
    });
    let replies = block.requests().map(|method| {
        let (cfg, variant, reply) = (method.cfg(), &method.variant, &method.answer.reply);
        let doc = doc(context, method);
        quote!(#(#cfg)* #doc #variant(#reply))
    });
    let errors = block.requests().filter_map(|method| {
        let (cfg, variant, error) = (method.cfg(), &method.variant, method.answer.error.as_ref()?);
        let doc = doc(context, method);
        Some(quote!(#(#cfg)* #doc #variant(#error)))
    });
    let service = &block.name;
    let channel = [
        definition(
            context,
            &names.request,
            &context.request,
            &format!("The requests to a [`{service}`]."),
            requests,
        ),
        definition(
            context,
            &names.reply,
            &context.reply,
            &format!("The replies of a [`{service}`]."),
            replies,
        ),
        definition(
            context,
            &names.error,
            &context.error,
            &format!("The errors with which a [`{service}`] refuses requests."),
            errors,
        ),
    ];
    let timers = timers(context);
    quote!(#(#channel)* #timers)
}

/// Returns the documentation of a method's variant.
fn doc(context: &Context<'_>, method: &Method) -> TokenStream {
    let doc = format!("Of [`{}::{}`].", context.block.name, method.name);
    quote!(#[doc = #doc])
}

fn definition(
    context: &Context<'_>,
    name: &Ident,
    parameters: &Parameters<'_>,
    doc: &str,
    variants: impl Iterator<Item = TokenStream>,
) -> TokenStream {
    let (visibility, derive) = (context.block.visibility(), context.derive());
    let (declared, where_clause) = (parameters.declared(), parameters.where_clause());
    quote! {
        #[doc = #doc]
        #[allow(dead_code, private_interfaces)]
        #derive
        #visibility enum #name #declared #where_clause { #(#variants),* }
    }
}

/// Returns the tokens of the timers. Their arguments are fields.
fn timers(context: &Context<'_>) -> Option<TokenStream> {
    let Context { names, block, .. } = context;
    block.timers().next()?;
    let variants = block.timers().map(|method| {
        let (cfg, variant) = (method.cfg(), &method.variant);
        let doc = doc(context, method);
        let fields = method.params.iter().map(|param| {
            let (name, ty) = (&param.name, &param.ty);
            let doc = format!("The argument `{name}`.");
            quote!(#[doc = #doc] #name: #ty)
        });
        let fields = (!method.params.is_empty()).then(|| quote!({ #(#fields),* }));
        quote!(#(#cfg)* #doc #variant #fields)
    });
    let (name, visibility) = (&names.timer, block.visibility());
    let doc = format!("The tokens of the timers of a [`{}`].", block.name);
    let (declared, where_clause) = (context.timer.declared(), context.timer.where_clause());
    Some(quote! {
        #[doc = #doc]
        #[allow(dead_code, private_interfaces)]
        #[derive(::core::clone::Clone)]
        #visibility enum #name #declared #where_clause { #(#variants),* }
    })
}
