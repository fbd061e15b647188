//! The admin surface of the control plane.

use serde_json::Value;

use crate::{
    plane::{Plane, eventually},
    process::{Folder, ask_admin},
};

#[test]
fn the_admin_surface_shows_the_components() {
    let folder = Folder::new();
    let socket = folder.path().join("admin.sock");
    let address = format!("unix:{}", socket.display());
    let mut plane = Plane::start(&["--admin", &address, "/dev/null"]);
    let get = |path: &str| -> Result<Value, String> {
        let body = ask_admin(&socket, path).map_err(|error| error.to_string())?;
        serde_json::from_str(&body).map_err(|error| error.to_string())
    };
    let health = eventually("the surface", || get("/health"));
    assert_eq!(health["healthy"], true);
    plane.execute("lookup 192.0.2.1");
    let routes = get("/api/components/routes").unwrap();
    assert_eq!(routes["instances"].as_array().unwrap().len(), 4);
    eventually("the command", || {
        let console = get("/api/components/console")?;
        let replied = console["instances"][0]["requests"]["replied"].as_u64();
        (replied > Some(0)).then_some(()).ok_or(console.to_string())
    });
    plane.quit();
}
