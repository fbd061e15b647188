//! The messages: a struct for each method, which names its reply.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::{Context, debug::debug, parameters::Parameters};
use crate::service::{local, method::Method};

pub(super) fn expand(context: &Context<'_>) -> TokenStream {
    context
        .block
        .requests()
        .map(|method| message(context, method))
        .collect()
}

fn message(context: &Context<'_>, method: &Method) -> TokenStream {
    let Context { krate, names, .. } = context;
    let name = names.message(method);
    let own = context.of_message(method);
    let definition = definition(context, method, &own);
    let text = if method.params.is_empty() {
        name.to_string()
    } else {
        format!("{name} {{ .. }}")
    };
    let debug = debug(context, (&name, &own), &quote!(f.write_str(#text)));
    let conversions = conversions(context, method);
    let (declared, where_clause) = (context.channel.declared(), context.channel.where_clause());
    let (request, reply, error) = (context.request(), context.reply(), context.error());
    let message = context.message(method);
    let ask = quote! {
        #[automatically_derived]
        impl #declared #krate::ump::Ask<#request, #reply, #error> for #message #where_clause {
            #conversions
        }
    };
    let cfg: Vec<_> = method.cfg().collect();
    let items = [Some(definition), debug, Some(ask)].into_iter().flatten();
    items.map(|item| quote!(#(#cfg)* #item)).collect()
}

/// Returns the struct, whose fields are the parameters of the method.
fn definition(context: &Context<'_>, method: &Method, own: &Parameters<'_>) -> TokenStream {
    let name = context.names.message(method);
    let visibility = &method.visibility;
    let fields = method.params.iter().map(|param| {
        let (name, ty) = (&param.name, &param.ty);
        let doc = format!("The argument `{name}`.");
        quote!(#[doc = #doc] #visibility #name: #ty)
    });
    let (declared, where_clause) = (own.declared(), own.where_clause());
    let body = if method.params.is_empty() {
        quote!(#where_clause;)
    } else {
        quote!(#where_clause { #(#fields),* })
    };
    let doc = format!(
        "The message of [`{}::{}`].",
        context.block.name, method.name
    );
    let derive = context.derive();
    quote! {
        #[doc = #doc]
        #[allow(dead_code, private_interfaces)]
        #derive
        #visibility struct #name #declared #body
    }
}

/// Returns the items of the implementation of `Ask`.
fn conversions(context: &Context<'_>, method: &Method) -> TokenStream {
    let names = context.names;
    let (requests, replies, errors) = (&names.request, &names.reply, &names.error);
    let (request, reply, error) = (context.request(), context.reply(), context.error());
    let variant = &method.variant;
    let ok = quote!(::core::result::Result::Ok);
    let err = quote!(::core::result::Result::Err);
    let some = quote!(::core::option::Option::Some);
    let (own_reply, error_or_none) = (&method.answer.reply, &method.answer.error);
    let never = quote!(::core::convert::Infallible);
    let own_error = error_or_none.as_ref().unwrap_or(&never);
    let of_error = error_or_none.as_ref().map(|_| {
        quote! {
            #err(#errors::#variant(error)) => #some(#err(error)),
        }
    });
    let message = local("message");
    let types = quote_spanned! {method.output_span=>
        type Reply = #own_reply;
        type Error = #own_error;
    };
    quote! {
        #types

        #[inline]
        fn into_request(self) -> #request {
            #requests::#variant(self)
        }

        #[inline]
        fn from_request(request: #request) -> Self {
            match request {
                #requests::#variant(#message) => #message,
                #[allow(unreachable_patterns)]
                _ => ::core::unreachable!("`into_request` made this message"),
            }
        }

        #[inline]
        fn from_answer(
            answer: ::core::result::Result<#reply, #error>,
        ) -> ::core::option::Option<::core::result::Result<Self::Reply, Self::Error>> {
            match answer {
                #ok(#replies::#variant(reply)) => #some(#ok(reply)),
                #of_error
                #[allow(unreachable_patterns)]
                _ => ::core::option::Option::None,
            }
        }
    }
}
