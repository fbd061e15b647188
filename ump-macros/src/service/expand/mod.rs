//! The output of the macro.

mod batch;
mod client;
mod debug;
mod enums;
mod handler;
mod messages;
pub(super) mod parameters;
mod topic;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Visibility;

use self::parameters::Parameters;
use super::{arguments::Arguments, block::Block, method::Method, names::Names};

/// The values that all parts of the expansion need.
struct Context<'a> {
    arguments: &'a Arguments,
    names: &'a Names,
    block: &'a Block,
    krate: TokenStream,
    /// The parameters of the block that the enums of requests, replies and errors have.
    request: Parameters<'a>,
    reply: Parameters<'a>,
    error: Parameters<'a>,
    /// The generics of any of the three: of the channel and its client.
    channel: Parameters<'a>,
    timer: Parameters<'a>,
}

impl<'a> Context<'a> {
    fn new(arguments: &'a Arguments, names: &'a Names, block: &'a Block) -> Self {
        let krate = arguments.krate();
        let fields = |method: &Method| {
            let types = method.params.iter().map(|param| &param.ty);
            quote!(#(#types,)*)
        };
        let replies = |method: &Method| {
            let reply = &method.answer.reply;
            quote!(#reply,)
        };
        let errors = |method: &Method| {
            let error = &method.answer.error;
            quote!(#error,)
        };
        let generics = &block.generics;
        let start = &arguments.start_error;
        let start = quote!(#start);
        let nothing = TokenStream::new();
        // The parameters of a type are those that occur in any of its methods, and some of these
        // methods might not exist.
        let used = |methods: &[&Method], types: &dyn Fn(&Method) -> TokenStream, start| {
            let all: TokenStream = methods.iter().map(|method| types(method)).collect();
            let certain = methods
                .iter()
                .filter(|method| method.cfg().next().is_none());
            let certain: TokenStream = certain.map(|method| types(method)).collect();
            Parameters::used(generics, &quote!(#all #start)).certainly(&quote!(#certain #start))
        };
        let requests: Vec<_> = block.requests().collect();
        let timers: Vec<_> = block.timers().collect();
        let all = requests.iter().map(|method| {
            let (fields, reply, error) = (fields(method), replies(method), errors(method));
            quote!(#fields #reply #error)
        });
        let all: TokenStream = all.collect();
        Self {
            request: used(&requests, &fields, &nothing),
            reply: used(&requests, &replies, &nothing),
            error: used(&requests, &errors, &start),
            channel: Parameters::used(generics, &quote!(#all #start)),
            timer: used(&timers, &fields, &nothing),
            arguments,
            names,
            block,
            krate,
        }
    }

    /// Returns the visibility of what is not of one method only.
    fn visibility(&self) -> Visibility {
        let chosen = self.arguments.visibility.clone();
        chosen.unwrap_or_else(|| self.block.visibility())
    }

    /// Returns the type of requests.
    fn request(&self) -> TokenStream {
        let (name, arguments) = (&self.names.request, self.request.arguments());
        quote!(#name #arguments)
    }

    /// Returns the type of replies.
    fn reply(&self) -> TokenStream {
        let (name, arguments) = (&self.names.reply, self.reply.arguments());
        quote!(#name #arguments)
    }

    /// Returns the type of errors.
    fn error(&self) -> TokenStream {
        let (name, arguments) = (&self.names.error, self.error.arguments());
        quote!(#name #arguments)
    }

    /// Returns the type of a method's message.
    fn message(&self, method: &Method) -> TokenStream {
        let name = self.names.message(method);
        let arguments = self.of_message(method).arguments();
        quote!(#name #arguments)
    }

    /// Returns the parameters of the block that a method's message has.
    fn of_message(&self, method: &Method) -> Parameters<'a> {
        let fields = method.params.iter().map(|param| &param.ty);
        Parameters::used(&self.block.generics, &quote!(#(#fields,)*))
    }

    /// Returns the type of the tokens of timers.
    fn timer(&self) -> TokenStream {
        if self.block.timers().next().is_none() {
            return quote!(());
        }
        let (name, arguments) = (&self.names.timer, self.timer.arguments());
        quote!(#name #arguments)
    }

    /// Returns the attribute by which messages, replies and errors derive what the user wants.
    fn derive(&self) -> Option<TokenStream> {
        let derive = self.arguments.derive.as_ref()?;
        Some(quote!(#[derive(#derive)]))
    }
}

pub(super) fn expand(arguments: &Arguments, names: &Names, block: &Block) -> TokenStream {
    let context = Context::new(arguments, names, block);
    let messages = messages::expand(&context);
    let enums = enums::expand(&context);
    let client = client::expand(&context);
    let topic = topic::expand(&context);
    let handler = handler::expand(&context);
    quote! { #messages #enums #client #topic #handler }
}
