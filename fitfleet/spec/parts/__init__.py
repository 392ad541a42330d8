"""The parts of a job in canonical form: model, compile, callbacks."""
