//! The enums of requests, replies, errors and timers: a variant for each method.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::Type;

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
        start_error: None,
    };
    let replies = Enum {
        name: &names.reply,
        parameters: &context.reply,
        doc: format!("The replies of a [`{service}`]."),
        variants: (block.requests())
            .map(|method| (method, method.answer.reply.clone()))
            .collect(),
        start_error: None,
    };
    let errors = Enum {
        name: &names.error,
        parameters: &context.error,
        doc: format!("The errors with which a [`{service}`] refuses requests."),
        variants: (block.requests())
            .filter_map(|method| Some((method, method.answer.error.clone()?)))
            .collect(),
        start_error: context.arguments.start_error.as_ref(),
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
    /// The error of a service that does not start, if it is one of the variants.
    start_error: Option<&'a Type>,
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
        let start = self.start_error.iter().map(|error| {
            quote! {
                /// Why the service did not start. No request gets it.
                StartError(#error)
            }
        });
        let variants = variants.chain(start).chain(parameters.unused_variant());
        let (visibility, derive) = (context.visibility(), context.derive());
        let (declared, where_clause) = (parameters.declared(), parameters.where_clause());
        let names = self.text(
            |method| format!("{}(..)", method.variant),
            &quote!(_),
            &quote!(f.write_str("StartError(..)")),
        );
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
    fn text(
        &self,
        text: impl Fn(&Method) -> String,
        start: &TokenStream,
        start_text: &TokenStream,
    ) -> TokenStream {
        let name = self.name;
        let arms = self.variants.iter().map(|(method, _)| {
            let (cfg, variant, text) = (method.cfg(), &method.variant, text(method));
            quote!(#(#cfg)* #name::#variant(_) => f.write_str(#text),)
        });
        let start =
            (self.start_error.is_some()).then(|| quote!(#name::StartError(#start) => #start_text,));
        let unused = self.parameters.unused_arm(name);
        quote!(match *self { #(#arms)* #start #unused })
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
    let text = errors.text(
        |method| format!("`{}` was refused", method.kind_name()),
        &quote!(ref error),
        &quote!(::core::fmt::Display::fmt(error, f)),
    );
    let from_start = errors.start_error.map(|start| {
        quote! {
            #[automatically_derived]
            impl #declared ::core::convert::From<#start> for #name #arguments #where_clause {
                fn from(error: #start) -> Self {
                    Self::StartError(error)
                }
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl #declared ::core::fmt::Display for #name #arguments #where_clause {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #text
            }
        }

        #[automatically_derived]
        impl #declared ::core::error::Error for #name #arguments #where_debug {}

        #from_start
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
    let variants = variants.chain(context.timer.unused_variant());
    let (name, visibility) = (&names.timer, context.visibility());
    let doc = format!("The tokens of the timers of a [`{}`].", block.name);
    let (declared, where_clause) = (context.timer.declared(), context.timer.where_clause());
    Some(quote! {
        #[doc = #doc]
        #[allow(dead_code, private_interfaces)]
        #[derive(::core::clone::Clone)]
        #visibility enum #name #declared #where_clause { #(#variants),* }
    })
}
