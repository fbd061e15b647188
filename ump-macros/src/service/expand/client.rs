//! The client: a method for each method of the service that is a request or a post.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::Visibility;

use super::{Context, parameters::Parameters};
use crate::service::{kind::Kind, method::Method};

/// Whom a client asks.
#[derive(Clone, Copy)]
pub(super) enum Asks {
    /// A server, by the client of its channel.
    Server,
    /// Whichever server a topic has, by a router.
    Topic,
}

pub(super) fn expand(context: &Context<'_>) -> TokenStream {
    let Context {
        krate,
        names,
        block,
        ..
    } = context;
    let (name, visibility) = (&names.client, context.visibility());
    let (request, reply, error) = (context.request(), context.reply(), context.error());
    let methods = block
        .requests()
        .map(|method| client_method(context, method, Asks::Server));
    let channel = quote!(#krate::Client<#request, #reply, #error>);
    let doc = format!(
        "A client of a [`{}`]: its methods make the requests. Within it is the client of the channel.",
        block.name
    );
    let methods = quote!(#(#methods)*);
    let parameters = &context.channel;
    define(
        parameters,
        (&visibility, name),
        (&channel, "The client of the channel."),
        &doc,
        (None, &methods),
    )
}

/// Defines a client around `inner`, and its methods.
pub(super) fn define(
    parameters: &Parameters<'_>,
    (visibility, name): (&Visibility, &Ident),
    (inner, inner_doc): (&TokenStream, &str),
    doc: &str,
    (bounds, methods): (Option<&TokenStream>, &TokenStream),
) -> TokenStream {
    let (declared, arguments) = (parameters.declared(), parameters.arguments());
    let where_clause = parameters.where_clause();
    let bounds = bounds.cloned().or_else(|| parameters.where_clause());
    quote! {
        #[doc = #doc]
        #[allow(dead_code, private_interfaces)]
        #visibility struct #name #declared (
            #[doc = #inner_doc]
            pub #inner,
        ) #where_clause;

        #[allow(dead_code)]
        impl #declared #name #arguments #bounds {
            #methods
        }

        #[automatically_derived]
        impl #declared ::core::convert::From<#inner> for #name #arguments #where_clause {
            fn from(client: #inner) -> Self {
                Self(client)
            }
        }

        #[automatically_derived]
        impl #declared ::core::clone::Clone for #name #arguments #where_clause {
            fn clone(&self) -> Self {
                Self(::core::clone::Clone::clone(&self.0))
            }
        }

        #[automatically_derived]
        impl #declared ::core::fmt::Debug for #name #arguments #where_clause {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Debug::fmt(&self.0, f)
            }
        }
    }
}

/// Returns the method of a client that makes the request of a method of the service.
pub(super) fn client_method(context: &Context<'_>, method: &Method, way: Asks) -> TokenStream {
    let Context { krate, names, .. } = context;
    let (request, reply, error) = (context.request(), context.reply(), context.error());
    let channel = quote!('_, #request, #reply, #error);
    let (name_of_message, message) = (names.message(method), context.message(method));
    let fields: Vec<_> = method.params.iter().map(|param| &param.name).collect();
    let types: Vec<_> = method.params.iter().map(|param| &param.ty).collect();
    let built = if fields.is_empty() {
        quote!(#name_of_message)
    } else {
        quote!(#name_of_message { #(#fields),* })
    };
    let (returned, post) = match way {
        Asks::Topic => {
            let router = context.arguments.router();
            (
                quote!(#router::Typed<#router::Request<#request>, #message>),
                None,
            )
        }
        Asks::Server => {
            let (stage, post) = match method.kind {
                Kind::Post => (quote!(Post), Some(quote!(.post()))),
                _ => (quote!(Request), None),
            };
            (
                quote!(#krate::ump::Typed<#krate::ump::#stage<#channel>, #message>),
                post,
            )
        }
    };
    let attributes = method.of_client();
    let doc = (!method.is_documented()).then(|| {
        let doc = format!("Makes the request `{}`.", method.name);
        quote!(#[doc = #doc])
    });
    let (visibility, name) = (&method.visibility, &method.name);
    quote! {
        #(#attributes)*
        #doc
        #[inline]
        #[track_caller]
        #visibility fn #name(
            &self,
            #(#fields: #types),*
        ) -> #returned {
            self.0.ask(#built) #post
        }
    }
}
