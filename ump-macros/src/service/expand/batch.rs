//! The handler of a service that takes batches: the methods are called between two others, and the
//! answers wait for the second.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use super::{Context, handler};
use crate::service::{kind::Kind, local, method::Method};

/// Returns the method that handles a batch.
pub(super) fn handle(context: &Context<'_>) -> TokenStream {
    let Context { krate, block, .. } = context;
    let (request, reply, error) = (context.request(), context.reply(), context.error());
    let output = context.arguments.output();
    let (batch, asked, context_name) = (local("batch"), local("request"), local("reply"));
    let flow = local("flow");
    let start = block.of_batches(|kind| matches!(kind, Kind::BatchStart));
    let start = start.map(|method| start_batch(context, method, &batch));
    let end = block.of_batches(|kind| matches!(kind, Kind::BatchEnd));
    let end = end.map(|method| end_batch(context, method, &batch));
    let arms = block.requests().map(|method| handler::arm(context, method));
    let unused = context.request.unused_arm(&context.names.request);
    quote! {
        fn handle(
            &mut self,
            #batch: &mut #krate::thread::Batch<#request, #reply, #error>,
        ) -> ::core::ops::ControlFlow<#output> {
            #start
            let #flow = #batch.answer_each(|#asked, #context_name| match #asked {
                #(#arms)*
                #unused
            });
            #end
            #flow
        }
    }
}

/// Returns what comes before a batch. If it fails, the requests are refused, and nothing else is
/// called.
fn start_batch(context: &Context<'_>, method: &Method, batch: &Ident) -> TokenStream {
    let names = context.names;
    let (requests, errors) = (&names.request, &names.error);
    let (asked, context_name, error) = (local("request"), local("reply"), local("error"));
    let arms = context.block.requests().map(|request| {
        let (cfg, variant) = (request.cfg(), &request.variant);
        let own = own_error(method, request, &error);
        let refuse = own.map(|own| quote!(#context_name.fail(#errors::#variant(#own))));
        let refuse = refuse.unwrap_or_else(|| quote!(::core::mem::drop(#context_name)));
        quote!(#(#cfg)* #requests::#variant(_) => #refuse,)
    });
    let unused = context.request.unused_arm(requests);
    let failed = quote! {
        return #batch.answer_each(|#asked, #context_name| {
            match #asked { #(#arms)* #unused }
            ::core::ops::ControlFlow::Continue(())
        })
    };
    hook(context, method, &error, &failed)
}

/// Returns what comes after a batch. If it fails, the replies become errors.
fn end_batch(context: &Context<'_>, method: &Method, batch: &Ident) -> TokenStream {
    let names = context.names;
    let (replies, errors) = (&names.reply, &names.error);
    let (reply, error) = (local("reply"), local("error"));
    let some = quote!(::core::option::Option::Some);
    let arms = context.block.requests().map(|request| {
        let (cfg, variant) = (request.cfg(), &request.variant);
        let own = own_error(method, request, &error);
        let own = own.map(|own| quote!(#some(#errors::#variant(#own))));
        let own = own.unwrap_or_else(|| quote!(::core::option::Option::None));
        quote!(#(#cfg)* #replies::#variant(_) => #own,)
    });
    let unused = context.reply.unused_arm(replies);
    let failed = quote!(#batch.fail_replies(|#reply| match #reply { #(#arms)* #unused }));
    hook(context, method, &error, &failed)
}

/// Returns the call of a method that comes before or after a batch, and what follows its error.
fn hook(
    context: &Context<'_>,
    method: &Method,
    error: &Ident,
    failed: &TokenStream,
) -> TokenStream {
    let krate = &context.krate;
    let call = method.call(&TokenStream::new());
    let cfg = method.cfg();
    if method.answer.error.is_none() {
        let unit = quote_spanned!(method.output_span=> ());
        return quote!(#(#cfg)* let #unit = #call;);
    }
    let into_result =
        quote_spanned!(method.output_span=> #krate::service::Fallible::into_result(#call));
    let ok = quote_spanned!(method.output_span=> ::core::result::Result::Ok(()));
    quote! {
        #(#cfg)*
        match #into_result {
            #ok => {}
            ::core::result::Result::Err(#error) => {
                let _ = &#error;
                #failed
            }
        }
    }
}

/// Returns what makes the error of a method of the error of `hook`. A method that has no error
/// gets none.
fn own_error(hook: &Method, method: &Method, error: &Ident) -> Option<TokenStream> {
    let own = method.answer.error.as_ref()?;
    let cloned = quote_spanned!(hook.output_span=> ::core::clone::Clone::clone(&#error));
    let of_hook = hook.answer.error.as_ref()?;
    Some(quote_spanned! {method.output_span=>
        <#own as ::core::convert::From<#of_hook>>::from(#cloned)
    })
}
