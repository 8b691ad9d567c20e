"""The semantics of presence, without I/O: the store, the writes of a process, and the groups that it shows."""
