//! `ump ca`: certificates for links over TLS.

mod files;
mod issue;

use std::path::PathBuf;

use serde_json::json;

use crate::{exit::Error, output::print};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Makes a certificate authority: the files ca.pem and ca.key
    Init(Init),
    /// Issues a certificate for a server or a client: the files NAME.pem and NAME.key
    Issue(Issue),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Give ca.pem to both ends as the roots, and keep ca.key apart: anybody with this file can issue certificates.
Files are made with mode 0600 and never overwritten. If one of the two cannot be written, neither
stays.")]
pub(crate) struct Init {
    #[command(flatten)]
    place: Place,
    /// The name of the authority
    #[arg(long, value_name = "NAME", default_value = "ump authority")]
    name: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
NAME is the name by which rules know the owner (`tls:NAME`), and for a server the host of its
address. The certificate is for servers and for clients.")]
pub(crate) struct Issue {
    /// A DNS name, or an IP address
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    place: Place,
    /// More names and addresses of the same owner
    #[arg(long = "also", value_name = "NAME")]
    others: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The folder of the files
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Days until the certificate expires
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,
}

pub(crate) fn run(action: &Action, is_json: bool) -> Result<(), Error> {
    let (place, made, stem) = match action {
        Action::Init(init) => {
            let made = issue::authority(&init.name, init.place.days)?;
            (&init.place, made, "ca")
        }
        Action::Issue(issue) => {
            let names: Vec<_> = std::iter::once(&issue.name)
                .chain(&issue.others)
                .cloned()
                .collect();
            files::check_name(&issue.name)?;
            let authority = files::read_pair(&issue.place.folder, "ca")?;
            let made = issue::certificate(&authority, names, issue.place.days)?;
            (&issue.place, made, issue.name.as_str())
        }
    };
    let (certificate, key) = files::write_pair(&place.folder, stem, &made)?;
    if is_json {
        return print(&json!({"certificate": certificate, "key": key}).to_string());
    }
    print(&format!("{}\n{}", certificate.display(), key.display()))
}
