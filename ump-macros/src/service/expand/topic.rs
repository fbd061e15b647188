//! The items with which a service serves topics, and the client of a topic.

use proc_macro2::TokenStream;
use quote::quote;

use super::{
    Context,
    client::{Asks, client_method, define},
};

/// Returns the implementation of `RequestMessage` for the requests, and the client, if the service
/// has a prefix for its topics.
pub(super) fn expand(context: &Context<'_>) -> Option<TokenStream> {
    let (block, parameters) = (context.block, &context.channel);
    let name = context.names.topic.as_ref()?;
    let prefix = context.arguments.topic.as_ref()?;
    let router = context.arguments.router();
    let (request, reply, error) = (context.request(), context.reply(), context.error());
    let methods = block
        .requests()
        .map(|method| client_method(context, method, Asks::Topic));
    // A client of a service with parameters has its methods if the messages can be sent.
    let (declared, predicates) = (parameters.declared(), parameters.predicates());
    let sent = declared.is_some().then(|| {
        quote! {
            where
                #(#predicates,)*
                #request: ::core::marker::Send + 'static,
                #reply: ::core::marker::Send + 'static,
                #error: ::core::marker::Send + 'static,
        }
    });
    let doc = format!(
        "A client of the [`{}`] that serves a topic: its methods make the requests by a router.",
        block.name
    );
    let inner = (
        &quote!(#router::TopicClient<#request>),
        "The client of the topic.",
    );
    let client = define(
        parameters,
        (&context.visibility(), name),
        inner,
        &doc,
        (sent.as_ref(), &quote!(#(#methods)*)),
    );
    Some(quote! {
        #[automatically_derived]
        impl #declared #router::RequestMessage for #request #sent {
            type Reply = #reply;
            type Error = #error;
            const PREFIX: &'static str = #prefix;
        }

        #client
    })
}
