"""Shadow execution: a module run once on real numbers while every number carries its distance from each position.

``run`` watches the kernels · the operators' rules say which numbers each number is computed from · ``hop`` says what
reading them costs · ``storage`` keeps the shadows.
"""
