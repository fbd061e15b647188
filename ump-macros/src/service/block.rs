//! The `impl` block: its head, and its members.

use std::collections::{HashMap, HashSet};

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Error, GenericParam, Generics, Result, Token, Type, Visibility, braced,
    parse::{ParseStream, Parser},
    spanned::Spanned,
};

use super::{
    expand::parameters,
    kind::Kind,
    method::{Member, Method},
    names::Names,
    tokens::{self, Scope},
};

/// The `impl` block.
pub(crate) struct Block {
    attributes: Vec<Attribute>,
    /// With the `where` clause.
    pub(crate) generics: Generics,
    pub(crate) self_type: Type,
    /// The name of the type.
    pub(crate) name: Ident,
    /// All members, without the attributes of the macro.
    members: TokenStream,
    /// The methods that concern the macro, without those that have errors.
    pub(crate) methods: Vec<Method>,
    pub(crate) errors: Vec<Error>,
}

impl Block {
    /// Parses the block. `krate` is the path of the crate `ump-server`.
    pub(crate) fn parse(input: ParseStream<'_>, krate: TokenStream) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        if !input.peek(Token![impl]) {
            return Err(input.error("`service` is for an `impl` block"));
        }
        input.parse::<Token![impl]>()?;
        let mut generics: Generics = input.parse()?;
        let self_type: Type = input.parse()?;
        if input.peek(Token![for]) {
            let message = "`service` is for the `impl` block of a type, not of a trait";
            return Err(Error::new(self_type.span(), message));
        }
        let name = name(&self_type)?;
        generics.where_clause = input.parse()?;
        let body;
        braced!(body in input);
        let scope = Scope {
            krate,
            self_type: self_type.to_token_stream(),
        };
        let mut block = Self {
            attributes,
            generics,
            self_type,
            name,
            members: TokenStream::new(),
            methods: Vec::new(),
            errors: Vec::new(),
        };
        for member in members(body.parse()?) {
            block.add(member, &scope);
        }
        if let Some(GenericParam::Lifetime(lifetime)) = block.generics.params.first() {
            let message = "a service runs on a thread or task of its own, so it cannot borrow: \
                           use owned types or `'static`";
            block.errors.push(Error::new(lifetime.span(), message));
            block.methods.clear();
        }
        Ok(block)
    }

    fn add(&mut self, member: TokenStream, scope: &Scope) {
        let parse = |input: ParseStream<'_>| Member::parse(input, scope);
        match parse.parse2(member.clone()) {
            Ok(Some(Member { emitted, method })) => {
                self.members.extend(emitted);
                match method {
                    Ok(method) => self.methods.push(method),
                    Err(error) => self.errors.push(error),
                }
            }
            Ok(None) => self.members.extend(member),
            Err(error) => {
                self.members.extend(member);
                self.errors.push(error);
            }
        }
    }

    /// Removes the methods that cannot be together, and records why.
    pub(crate) fn check(&mut self, names: &Names) {
        let mut taken: HashMap<String, &str> = HashMap::new();
        for (name, what) in names.all() {
            taken.insert(name.to_string(), what);
        }
        let errors = &mut self.errors;
        let mut hooks = [false; 7];
        let mut variants: HashSet<String> = HashSet::new();
        self.methods.retain(|method| {
            let seen = match method.kind {
                Kind::Init => std::mem::replace(&mut hooks[0], true),
                Kind::Term => std::mem::replace(&mut hooks[1], true),
                Kind::BatchStart => std::mem::replace(&mut hooks[2], true),
                Kind::BatchEnd => std::mem::replace(&mut hooks[3], true),
                Kind::Socket => std::mem::replace(&mut hooks[4], true),
                Kind::Ready => std::mem::replace(&mut hooks[5], true),
                Kind::OnReady => std::mem::replace(&mut hooks[6], true),
                _ => false,
            };
            if seen {
                let message = "there is another method with this attribute";
                errors.push(Error::new(method.name.span(), message));
                return false;
            }
            if !method.kind.has_message() {
                return true;
            }
            // Methods that `cfg` tells apart may have the same variant.
            if method.cfg().next().is_none() && !variants.insert(method.variant.to_string()) {
                let message = format!(
                    "another method has the variant `{}` as well: rename one of them",
                    method.variant
                );
                errors.push(Error::new(method.name.span(), message));
                return false;
            }
            if method.variant == "StartError" && names.has_start_error {
                let message = "this method would have the name of the variant for `start_error`";
                errors.push(Error::new(method.name.span(), message));
                return false;
            }
            let message = names.message(method);
            if let Some(what) = taken.get(message.to_string().as_str()) {
                let message = format!(
                    "the message of this method would have the name of {what}, `{message}`: rename the \
                     method, or that by an argument of `service`"
                );
                errors.push(Error::new(method.name.span(), message));
                return false;
            }
            true
        });
        self.check_batches();
        self.check_sockets();
        self.check_ready();
        if names.topic.is_some() {
            self.check_topic();
        }
    }

    /// Checks what a service needs that serves topics: its requests name its replies and errors.
    fn check_topic(&mut self) {
        let types = |method: &Method| {
            let types = method.params.iter().map(|param| &param.ty);
            quote!(#(#types)*)
        };
        let answers = |method: &Method| {
            let (reply, error) = (&method.answer.reply, &method.answer.error);
            quote!(#reply #error)
        };
        let requests: TokenStream = self.requests().map(types).collect();
        let answers: TokenStream = self.requests().map(answers).collect();
        let names = self.generics.params.iter().filter_map(parameters::name);
        let unnamed = names
            .filter(|&name| tokens::mentions(&answers, name) && !tokens::mentions(&requests, name));
        let message = "a service that serves topics has this parameter in its requests, not in replies \
                       and errors only";
        let errors = unnamed.map(|name| Error::new(name.span(), message));
        let errors: Vec<_> = errors.collect();
        self.errors.extend(errors);
    }

    /// Checks what all methods of a service that takes batches need.
    fn check_batches(&mut self) {
        if !self.takes_batches() {
            return;
        }
        for method in self.methods.iter().filter(|method| method.is_async) {
            let message =
                "a service that takes batches runs on a thread, so its methods are not async";
            self.errors.push(Error::new(method.name.span(), message));
        }
        let of_batches = self.methods.iter().filter(|it| it.kind.is_of_batches());
        let mut fallible = of_batches.filter(|it| it.answer.error.is_some());
        let Some(hook) = fallible.next_back() else {
            return;
        };
        let requests = self.methods.iter();
        let requests = requests.filter(|method| matches!(method.kind, Kind::Request));
        for method in requests.filter(|method| method.answer.error.is_none()) {
            let message = format!(
                "`{}` can fail, and then this request has no reply: return a `Result`, whose error is \
                 `From` that of `{}`",
                hook.name, hook.name,
            );
            self.errors.push(Error::new(method.output_span, message));
        }
    }

    /// Checks that a service with sockets runs on a thread, which waits for them.
    fn check_sockets(&mut self) {
        if !self.is_async() {
            return;
        }
        let Some(socket) = self.socket() else {
            return;
        };
        let message = format!(
            "`{}` is never called, as an async service runs on a task, whose loop waits for no \
             sockets: make all methods of the service sync, or await the runtime's own sockets in a \
             method `#[ready]`",
            socket.name
        );
        let error = Error::new(socket.name.span(), message);
        self.errors.push(error);
        self.methods
            .retain(|method| !matches!(method.kind, Kind::Socket));
    }

    /// Checks that something waits, and that something handles what it has waited for.
    fn check_ready(&mut self) {
        let message = match (self.ready(), self.on_ready()) {
            (Some(ready), _) if !ready.is_async => (
                ready,
                "a `ready` method is an `async fn`: the loop polls it while it waits for requests",
            ),
            (Some(ready), None) => (
                ready,
                "there is no method `#[on_ready]`, which the loop calls when this one has resolved",
            ),
            (None, Some(on_ready)) => (
                on_ready,
                "this method is never called without an `async` method `#[ready]`, which waits",
            ),
            _ => return,
        };
        let (method, message) = message;
        let error = Error::new(method.name.span(), message);
        self.errors.push(error);
        self.methods
            .retain(|method| !matches!(method.kind, Kind::Ready | Kind::OnReady));
    }

    /// Returns the block, without the attributes of the macro.
    pub(crate) fn emit(&self) -> TokenStream {
        let Self {
            attributes,
            generics,
            self_type,
            members,
            ..
        } = self;
        let where_clause = &generics.where_clause;
        quote! { #(#attributes)* impl #generics #self_type #where_clause { #members } }
    }

    /// Returns the methods that are requests or posts.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Method> + Clone {
        self.methods
            .iter()
            .filter(|method| method.kind.has_message())
    }

    /// Returns the methods that are called by timers.
    pub(crate) fn timers(&self) -> impl Iterator<Item = &Method> + Clone {
        let is_timer = |method: &&Method| matches!(method.kind, Kind::Timer(_));
        self.methods.iter().filter(is_timer)
    }

    /// Returns the method that is called before anything else.
    pub(crate) fn init(&self) -> Option<&Method> {
        self.methods
            .iter()
            .find(|method| matches!(method.kind, Kind::Init))
    }

    /// Returns the method that is called at the end.
    pub(crate) fn term(&self) -> Option<&Method> {
        self.methods
            .iter()
            .find(|method| matches!(method.kind, Kind::Term))
    }

    /// Returns the method that is called with the events of sockets.
    pub(crate) fn socket(&self) -> Option<&Method> {
        self.methods
            .iter()
            .find(|method| matches!(method.kind, Kind::Socket))
    }

    /// Returns the method that waits for something beside requests and timers.
    pub(crate) fn ready(&self) -> Option<&Method> {
        self.methods
            .iter()
            .find(|method| matches!(method.kind, Kind::Ready))
    }

    /// Returns the method that handles what the other one has waited for.
    pub(crate) fn on_ready(&self) -> Option<&Method> {
        self.methods
            .iter()
            .find(|method| matches!(method.kind, Kind::OnReady))
    }

    /// Returns the method that is called before each batch, or that after it.
    pub(crate) fn of_batches(&self, is_this: impl Fn(&Kind) -> bool) -> Option<&Method> {
        self.methods.iter().find(|method| is_this(&method.kind))
    }

    /// Returns whether the service takes several requests at a time.
    pub(crate) fn takes_batches(&self) -> bool {
        self.methods
            .iter()
            .any(|method| method.kind.is_of_batches())
    }

    pub(crate) fn is_async(&self) -> bool {
        !self.takes_batches() && self.methods.iter().any(|method| method.is_async)
    }

    /// Returns the widest visibility of the requests.
    pub(crate) fn visibility(&self) -> Visibility {
        let visibilities = self.requests().map(|method| &method.visibility);
        let widest = visibilities.max_by_key(|visibility| match visibility {
            Visibility::Public(_) => 3,
            Visibility::Restricted(restricted) if restricted.path.is_ident("crate") => 2,
            Visibility::Restricted(_) => 1,
            Visibility::Inherited => 0,
        });
        widest.cloned().unwrap_or(Visibility::Inherited)
    }
}

/// Returns the name of the type of the block.
fn name(self_type: &Type) -> Result<Ident> {
    if let Type::Path(path) = self_type {
        if let Some(segment) = path.path.segments.last() {
            return Ok(segment.ident.clone());
        }
    }
    let message = "`service` is for the `impl` block of a struct or an enum";
    Err(Error::new(self_type.span(), message))
}

/// Splits the body of the block into its members.
fn members(body: TokenStream) -> Vec<TokenStream> {
    let mut members = Vec::new();
    let mut member: Vec<TokenTree> = Vec::new();
    for token in body {
        let is_body =
            matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        let is_semicolon = tokens::is_punct(&token, ';');
        member.push(token);
        // The value of a constant may have braces. It ends with a semicolon.
        if is_semicolon || (is_body && !is_constant(&member)) {
            members.push(member.drain(..).collect());
        }
    }
    if !member.is_empty() {
        members.push(member.into_iter().collect());
    }
    members
}

/// Returns whether this is the beginning of an associated constant.
fn is_constant(member: &[TokenTree]) -> bool {
    let has = |name: &str| member.iter().any(|token| tokens::is_ident(token, name));
    has("const") && !has("fn")
}
