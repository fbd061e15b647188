async fn ready(&mut self) {
    let () = self.wait().await;
}

async fn on_ready(&mut self) -> ControlFlow<()> {
    IntoFlow::<()>::into_flow(self.read())
}
