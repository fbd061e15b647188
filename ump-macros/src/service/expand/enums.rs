//! The enums of requests, replies, errors and timers: a variant for each method.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::{Context, debug::debug, parameters::Parameters};
use crate::service::method::Method;

pub(super) fn expand(context: &Context<'_>) -> TokenStream {
    let Context { names, block, .. } = context;
    let service = &block.name;
    let requests = Enum {
        name: &names.request,
        parameters: &context.request,
        doc: format!("The requests to a [`{service}`]."),
        variants: (block.requests())
            .map(|method| (method, context.message(method)))
            .collect(),
    };
    let replies = Enum {
        name: &names.reply,
        parameters: &context.reply,
        doc: format!("The replies of a [`{service}`]."),
        variants: (block.requests())
            .map(|method| (method, method.answer.reply.clone()))
            .collect(),
    };
    let errors = Enum {
        name: &names.error,
        parameters: &context.error,
        doc: format!("The errors with which a [`{service}`] refuses requests."),
        variants: (block.requests())
            .filter_map(|method| Some((method, method.answer.error.clone()?)))
            .collect(),
    };
    let definitions = [&requests, &replies, &errors].map(|channel| channel.define(context));
    let (error, timers) = (error(&errors), timers(context));
    quote!(#(#definitions)* #error #timers)
}

/// An enum with a variant for some of the methods.
struct Enum<'a> {
    name: &'a Ident,
    parameters: &'a Parameters<'a>,
    doc: String,
    /// The methods, each with the type of its variant's field.
    variants: Vec<(&'a Method, TokenStream)>,
}

impl Enum<'_> {
    fn define(&self, context: &Context<'_>) -> TokenStream {
        let Self {
            name,
            parameters,
            doc,
            ..
        } = self;
        let variants = self.variants.iter().map(|(method, field)| {
            let (cfg, variant) = (method.cfg(), &method.variant);
            let doc = variant_doc(context, method);
            quote!(#(#cfg)* #doc #variant(#field))
        });
        let (visibility, derive) = (context.block.visibility(), context.derive());
        let (declared, where_clause) = (parameters.declared(), parameters.where_clause());
        let names = self.text(|method| format!("{}(..)", method.variant));
        let debug = debug(context, (name, parameters), &names);
        quote! {
            #[doc = #doc]
            #[allow(dead_code, private_interfaces)]
            #derive
            #visibility enum #name #declared #where_clause { #(#variants),* }

            #debug
        }
    }

    /// Returns what writes a text for each variant.
    fn text(&self, text: impl Fn(&Method) -> String) -> TokenStream {
        let name = self.name;
        let arms = self.variants.iter().map(|(method, _)| {
            let (cfg, variant, text) = (method.cfg(), &method.variant, text(method));
            quote!(#(#cfg)* #name::#variant(_) => f.write_str(#text),)
        });
        quote!(match *self { #(#arms)* })
    }
}

/// Makes the enum of errors an error, so that a failure to start the service can be passed on.
fn error(errors: &Enum<'_>) -> TokenStream {
    let (name, parameters) = (errors.name, errors.parameters);
    let (declared, arguments) = (parameters.declared(), parameters.arguments());
    let where_clause = parameters.where_clause();
    // The user may derive `Debug`, with bounds.
    let where_debug = declared.is_some().then(|| {
        let predicates = parameters.predicates();
        quote!(where Self: ::core::fmt::Debug, #(#predicates,)*)
    });
    let text = errors.text(|method| format!("`{}` was refused", method.kind_name()));
    quote! {
        #[automatically_derived]
        impl #declared ::core::fmt::Display for #name #arguments #where_clause {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #text
            }
        }

        #[automatically_derived]
        impl #declared ::core::error::Error for #name #arguments #where_debug {}
    }
}

/// Returns the documentation of a method's variant.
fn variant_doc(context: &Context<'_>, method: &Method) -> TokenStream {
    let doc = format!("Of [`{}::{}`].", context.block.name, method.name);
    quote!(#[doc = #doc])
}

/// Returns the tokens of the timers. Their arguments are fields.
fn timers(context: &Context<'_>) -> Option<TokenStream> {
    let Context { names, block, .. } = context;
    block.timers().next()?;
    let variants = block.timers().map(|method| {
        let (cfg, variant) = (method.cfg(), &method.variant);
        let doc = variant_doc(context, method);
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
