"""Where presence is kept: the contract, the registry, and the backends that ship."""
