fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
    IntoFlow::<()>::into_flow(self.on_event(event))
}
