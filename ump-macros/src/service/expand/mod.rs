//! What the macro writes.

mod client;
mod debug;
mod enums;
mod handler;
mod messages;
mod parameters;

use proc_macro2::TokenStream;
use quote::quote;

use self::parameters::Parameters;
use super::{arguments::Arguments, block::Block, method::Method, names::Names};

/// What all parts of the expansion need.
struct Context<'a> {
    arguments: &'a Arguments,
    names: &'a Names,
    block: &'a Block,
    krate: TokenStream,
    /// The parameters of the block that the enums of requests, replies and errors have.
    request: Parameters<'a>,
    reply: Parameters<'a>,
    error: Parameters<'a>,
    /// Those of any of the three: of the channel and its client.
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
        let requests: TokenStream = block.requests().map(fields).collect();
        let replies = block.requests().map(|method| &method.answer.reply);
        let replies = quote!(#(#replies,)*);
        let errors = (block.requests()).filter_map(|method| method.answer.error.as_ref());
        let errors = quote!(#(#errors,)*);
        let timers: TokenStream = block.timers().map(fields).collect();
        let generics = &block.generics;
        Self {
            request: Parameters::used(generics, &requests),
            reply: Parameters::used(generics, &replies),
            error: Parameters::used(generics, &errors),
            channel: Parameters::used(generics, &quote!(#requests #replies #errors)),
            timer: Parameters::used(generics, &timers),
            arguments,
            names,
            block,
            krate,
        }
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
    let handler = handler::expand(&context);
    quote! { #messages #enums #client #handler }
}
