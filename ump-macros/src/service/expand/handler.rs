//! The handler: it calls the methods, and answers with what they return.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use super::{Context, batch};
use crate::service::{
    answer::Way,
    kind::{Kind, Start},
    local,
    method::Method,
    names::generated,
};

pub(super) fn expand(context: &Context<'_>) -> TokenStream {
    let Context {
        krate,
        names,
        block,
        arguments,
        ..
    } = context;
    let (request, reply, error) = (context.request(), context.reply(), context.error());
    let (timer, output) = (context.timer(), arguments.output());
    let service = if block.takes_batches() {
        quote!(thread::BatchService)
    } else if block.is_async() {
        quote!(task::Service)
    } else {
        quote!(thread::Service)
    };
    let generics = &block.generics;
    let (of_impl, _, _) = generics.split_for_impl();
    let self_type = &block.self_type;
    let (client, client_arguments) = (&names.client, context.channel.arguments());
    let predicates = (generics.where_clause.iter()).flat_map(|clause| &clause.predicates);
    let predicates: Vec<_> = predicates.map(|predicate| quote!(#predicate,)).collect();
    let of_interface = (!predicates.is_empty()).then(|| quote!(where #(#predicates)*));
    // A service that has parameters goes to another thread if its messages can.
    let of_service = (!generics.params.is_empty()).then(|| {
        let of_task = block
            .is_async()
            .then(|| quote!(Self: ::core::marker::Send,));
        quote! {
            where
                #(#predicates)*
                #of_task
                #request: ::core::marker::Send + 'static,
                #reply: ::core::marker::Send + 'static,
                #error: ::core::marker::Send + 'static,
                #timer: ::core::marker::Send + 'static,
        }
    });
    let handle = if block.takes_batches() {
        batch::handle(context)
    } else {
        handle(context)
    };
    let (init, on_timer, term) = (init(context), on_timer(context), term(context));
    let (on_socket, ready) = (on_socket(context), ready(context));
    // At the name of the service, where the compiler then says that they are less visible than it.
    let place = generated(block.name.span());
    let types = quote_spanned! {place=>
        type Request = #request;
        type Reply = #reply;
        type Error = #error;
        type Timer = #timer;
    };
    let of_client = quote_spanned!(place=> type Client = #client #client_arguments;);
    quote! {
        #[automatically_derived]
        impl #of_impl #krate::service::Interface for #self_type #of_interface {
            #types
            #of_client
        }

        #[automatically_derived]
        #[allow(deprecated)]
        impl #of_impl #krate::#service for #self_type #of_service {
            #types
            type Output = #output;

            #init

            #handle

            #on_timer

            #on_socket

            #ready

            #term
        }
    }
}

/// Returns the methods that handle one request, and name it.
fn handle(context: &Context<'_>) -> TokenStream {
    let Context {
        krate,
        names,
        block,
        ..
    } = context;
    let (request, reply, error) = (context.request(), context.reply(), context.error());
    let output = context.arguments.output();
    let asynchronous = block.is_async().then(|| quote!(async));
    let arms = block.requests().map(|method| arm(context, method));
    let kinds = block.requests().map(|method| {
        let (cfg, variant, requests) = (method.cfg(), &method.variant, &names.request);
        let kind = method.kind_name();
        quote!(#(#cfg)* #requests::#variant(_) => #kind,)
    });
    let (asked, context_name) = (local("request"), local("reply"));
    let unused = context.request.unused_arm(&names.request);
    quote! {
        #[inline]
        #asynchronous fn handle(
            &mut self,
            #asked: #request,
            #context_name: #krate::ReplyContext<'_, #reply, #error>,
        ) -> ::core::ops::ControlFlow<#output> {
            match #asked {
                #(#arms)*
                #unused
            }
        }

        fn kind(&self, #asked: &#request) -> &'static str {
            match *#asked {
                #(#kinds)*
                #unused
            }
        }
    }
}

/// Returns the arm that handles the request of a method.
pub(super) fn arm(context: &Context<'_>, method: &Method) -> TokenStream {
    let Context { krate, names, .. } = context;
    let (requests, replies, errors) = (&names.request, &names.reply, &names.error);
    let variant = &method.variant;
    let (message, reply, value, error) = (
        local("message"),
        local("reply"),
        local("value"),
        local("error"),
    );
    let fields = method.params.iter().map(|param| &param.name);
    let arguments = quote!(#(#message.#fields),*);
    let continues = quote!(::core::ops::ControlFlow::Continue(()));
    let ok = quote!(::core::result::Result::Ok);
    let err = quote!(::core::result::Result::Err);
    let body = match method.answer.way {
        Way::Nothing => {
            let call = method.call(&arguments);
            quote! {
                #call;
                let _ = #reply.reply(#replies::#variant(()));
                #continues
            }
        }
        Way::Reply => {
            let call = method.call(&arguments);
            quote! {
                let _ = #reply.reply(#replies::#variant(#call));
                #continues
            }
        }
        Way::Fallible => {
            let call = method.call(&arguments);
            let into_result =
                quote_spanned!(method.output_span=> #krate::service::Fallible::into_result);
            quote! {
                let _ = match #into_result(#call) {
                    #ok(#value) => #reply.reply(#replies::#variant(#value)),
                    #err(#error) => #reply.fail(#errors::#variant(#error)),
                };
                #continues
            }
        }
        Way::ReplyTo => {
            let failed = if method.answer.error.is_some() {
                quote!(#err(#errors::#variant(#error)))
            } else {
                quote!(match #error {})
            };
            let comma = (!method.params.is_empty()).then(|| quote!(,));
            let new = if context.block.takes_batches() {
                quote!(in_batch)
            } else {
                quote!(new)
            };
            let reply_to = quote! {
                #krate::service::ReplyTo::#new(#reply, |#value| match #value {
                    #ok(#value) => #ok(#replies::#variant(#value)),
                    #err(#error) => #failed,
                })
            };
            into_flow(context, method, &quote!(#arguments #comma #reply_to))
        }
        Way::Flow => {
            let flow = local("flow");
            let call = into_flow(context, method, &arguments);
            quote! {
                let #flow = #call;
                let _ = #reply.reply(#replies::#variant(()));
                #flow
            }
        }
    };
    let cfg = method.cfg();
    quote!(#(#cfg)* #requests::#variant(#message) => { #body })
}

/// Returns the call of a method that may end the loop.
fn into_flow(context: &Context<'_>, method: &Method, arguments: &TokenStream) -> TokenStream {
    let (krate, output) = (&context.krate, context.arguments.output());
    let call = method.call(arguments);
    let into_flow =
        quote_spanned!(method.output_span=> #krate::service::IntoFlow::<#output>::into_flow);
    quote!(#into_flow(#call))
}

/// Returns the method that arms the timers that begin with the loop, and calls that of the user.
fn init(context: &Context<'_>) -> Option<TokenStream> {
    let Context {
        krate,
        names,
        block,
        ..
    } = context;
    let timers = &names.timer;
    let cx = local("cx");
    let armed: Vec<_> = (block.timers())
        .filter_map(|method| {
            let (cfg, variant) = (method.cfg(), &method.variant);
            match &method.kind {
                Kind::Timer(Start::Every(period)) => {
                    Some(quote!(#(#cfg)* #cx.timers().every(#period, #timers::#variant);))
                }
                Kind::Timer(Start::After(delay)) => {
                    Some(quote!(#(#cfg)* #cx.timers().once(#delay, #timers::#variant);))
                }
                _ => None,
            }
        })
        .collect();
    let init = block.init().map(|method| {
        let argument = method.params.first().map(|_| quote!(#cx));
        let call = method.call(&argument.unwrap_or_default());
        let cfg = method.cfg();
        let unit = quote_spanned!(method.output_span=> ());
        quote!(#(#cfg)* let #unit = #call;)
    });
    if armed.is_empty() && init.is_none() {
        return None;
    }
    let asynchronous = block.is_async().then(|| quote!(async));
    Some(quote! {
        #asynchronous fn init(
            &mut self,
            #cx: &#krate::Context<Self::Request, Self::Reply, Self::Error, Self::Timer>,
        ) {
            #(#armed)*
            #init
        }
    })
}

/// Returns the method that calls those with the attribute `timer`.
fn on_timer(context: &Context<'_>) -> Option<TokenStream> {
    let Context {
        names,
        block,
        arguments,
        ..
    } = context;
    block.timers().next()?;
    let timers = &names.timer;
    let (timer, type_of_timer, output) = (local("timer"), context.timer(), arguments.output());
    let arms = block.timers().map(|method| {
        let (cfg, variant) = (method.cfg(), &method.variant);
        let fields: Vec<_> = method.params.iter().map(|param| &param.name).collect();
        let values: Vec<_> = (0..fields.len())
            .map(|index| local(&format!("value_{index}")))
            .collect();
        let pattern = (!fields.is_empty()).then(|| quote!({ #(#fields: #values),* }));
        let call = into_flow(context, method, &quote!(#(#values),*));
        quote!(#(#cfg)* #timers::#variant #pattern => #call,)
    });
    let unused = context.timer.unused_arm(timers);
    let asynchronous = block.is_async().then(|| quote!(async));
    Some(quote! {
        #asynchronous fn on_timer(&mut self, #timer: #type_of_timer) -> ::core::ops::ControlFlow<#output> {
            match #timer {
                #(#arms)*
                #unused
            }
        }
    })
}

/// Returns the method that calls the one with the attribute `socket`.
fn on_socket(context: &Context<'_>) -> Option<TokenStream> {
    let method = context.block.socket()?;
    let output = context.arguments.output();
    let event = local("event");
    // The type as it is written, and the name at its place: a wrong type, or an `ump-server`
    // without sockets, is an error of this method.
    let types = method.params.iter().map(|param| &param.ty);
    let on_socket = Ident::new("on_socket", generated(method.name.span()));
    let call = into_flow(context, method, &quote!(#event));
    let cfg = method.cfg();
    Some(quote! {
        #(#cfg)*
        fn #on_socket(&mut self, #event: #(#types)*) -> ::core::ops::ControlFlow<#output> {
            #call
        }
    })
}

/// Returns the methods that call those with the attributes `ready` and `on_ready`.
fn ready(context: &Context<'_>) -> Option<TokenStream> {
    let block = context.block;
    if block.takes_batches() {
        return None;
    }
    let (waits, handles) = (block.ready()?, block.on_ready()?);
    let output = context.arguments.output();
    let wait = waits.call(&TokenStream::new());
    let unit = quote_spanned!(waits.output_span=> ());
    let handle = into_flow(context, handles, &TokenStream::new());
    let (of_ready, of_on_ready) = (waits.cfg(), handles.cfg());
    Some(quote! {
        #(#of_ready)*
        async fn ready(&mut self) {
            let #unit = #wait;
        }

        #(#of_on_ready)*
        async fn on_ready(&mut self) -> ::core::ops::ControlFlow<#output> {
            #handle
        }
    })
}

/// Returns the method that calls the one with the attribute `term`.
fn term(context: &Context<'_>) -> Option<TokenStream> {
    let method = context.block.term()?;
    let output = context.arguments.output();
    let value = local("output");
    let body = if method.params.is_empty() {
        let call = method.call(&TokenStream::new());
        let unit = quote_spanned!(method.output_span=> ());
        quote!(let #unit = #call; #value)
    } else {
        method.call(&quote!(#value))
    };
    let asynchronous = context.block.is_async().then(|| quote!(async));
    let cfg = method.cfg();
    Some(quote! {
        #(#cfg)*
        #asynchronous fn term(
            &mut self,
            #value: ::core::option::Option<#output>,
        ) -> ::core::option::Option<#output> {
            #body
        }
    })
}
