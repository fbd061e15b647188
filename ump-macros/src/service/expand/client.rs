//! The client: a method for each method of the service that is a request or a post.

use proc_macro2::TokenStream;
use quote::quote;

use super::Context;
use crate::service::{kind::Kind, method::Method};

pub(super) fn expand(context: &Context<'_>) -> TokenStream {
    let Context {
        krate,
        names,
        block,
        ..
    } = context;
    let (name, visibility) = (&names.client, block.visibility());
    let (request, reply, error) = (context.request(), context.reply(), context.error());
    let (declared, arguments) = (context.channel.declared(), context.channel.arguments());
    let where_clause = context.channel.where_clause();
    let methods = block
        .requests()
        .map(|method| client_method(context, method));
    let channel = quote!(#krate::Client<#request, #reply, #error>);
    let doc = format!(
        "A client of a [`{}`]: its methods make the requests. Within it is the client of the channel.",
        block.name
    );
    quote! {
        #[doc = #doc]
        #[allow(dead_code, private_interfaces)]
        #visibility struct #name #declared (
            /// The client of the channel.
            pub #channel,
        ) #where_clause;

        #[allow(dead_code)]
        impl #declared #name #arguments #where_clause {
            #(#methods)*
        }

        #[automatically_derived]
        impl #declared ::core::convert::From<#channel> for #name #arguments #where_clause {
            fn from(client: #channel) -> Self {
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

fn client_method(context: &Context<'_>, method: &Method) -> TokenStream {
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
    let (stage, post) = match method.kind {
        Kind::Post => (quote!(Post), Some(quote!(.post()))),
        _ => (quote!(Request), None),
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
        ) -> #krate::ump::Typed<#krate::ump::#stage<#channel>, #message> {
            self.0.ask(#built) #post
        }
    }
}
