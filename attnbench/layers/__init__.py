"""Layers: the contract, the registry, and one file a layer."""
