"""The semantics of presence, without I/O: what the store does, what a process wants of it, what a process shows."""
