//! `ump ca`.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::run;

#[test]
fn certificates_are_made_once_and_only_for_their_owner() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("certificates");
    let at = at.to_str().unwrap();
    let issue = [
        "ca",
        "issue",
        "localhost",
        "--folder",
        at,
        "--also",
        "127.0.0.1",
    ];
    assert_eq!(run(&issue).code, 2, "there is no authority");
    let ran = run(&["ca", "init", "--folder", at]);
    assert_eq!(
        (ran.code, ran.stdout),
        (0, format!("{at}/ca.pem\n{at}/ca.key\n"))
    );
    let ran = run(&[&["--json"], &issue[..]].concat());
    let made: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(made["key"], format!("{at}/localhost.key"));
    for file in ["ca.pem", "ca.key", "localhost.pem", "localhost.key"] {
        let metadata = fs::metadata(format!("{at}/{file}")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
    }
    let key = fs::read(format!("{at}/ca.key")).unwrap();
    assert_eq!(run(&["ca", "init", "--folder", at]).code, 2, "it exists");
    assert_eq!(run(&issue).code, 2, "it exists");
    assert_eq!(fs::read(format!("{at}/ca.key")).unwrap(), key);
    for name in ["../up", "ca", "", "a b", ".hidden"] {
        assert_eq!(
            run(&["ca", "issue", name, "--folder", at]).code,
            2,
            "{name}"
        );
    }
}

#[test]
fn a_key_does_not_stay_without_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    let certificate = folder.path().join("ca.pem");
    // For `exists`, a link to nowhere does not exist. Making the file fails.
    std::os::unix::fs::symlink("nowhere", &certificate).unwrap();
    let init = ["ca", "init", "--folder", at];
    assert_eq!(run(&init).code, 2);
    assert!(!folder.path().join("ca.key").exists());
    fs::remove_file(&certificate).unwrap();
    let ran = run(&init);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_key_that_others_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    let key = format!("{at}/ca.key");
    assert_eq!(run(&["ca", "init", "--folder", at]).code, 0);
    let ran = run(&["ca", "issue", "a", "--folder", at]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for mode in [0o640, 0o604] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let name = format!("b{mode}");
        let ran = run(&["ca", "issue", &name, "--folder", at]);
        assert!(ran.code == 0 && ran.stderr.contains("chmod 600"), "{ran:?}");
    }
    let key = format!("{at}/a.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (certificate, roots) = (format!("{at}/a.pem"), format!("{at}/ca.pem"));
    let files = [
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--tls-roots",
        &roots,
    ];
    // Nobody listens there: the certificates are read before.
    let ran = run(&[&["ls", "--on", "tls:127.0.0.1:1"], &files[..]].concat());
    assert!(ran.code == 6 && ran.stderr.contains("chmod 600"), "{ran:?}");
}
