"""Checking: whether a layer keeps the contract, and what to do where it does not. No clock.

Each check looks at one promise of a layer at a few small sizes, odd ones among them, or compares its claims with the
count. The same checks hold every built-in layer in the tests, and any plugin in ``attnbench check``.
"""
