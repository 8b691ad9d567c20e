"""The store of presences: its contract, the registry, and the backends that ship."""
