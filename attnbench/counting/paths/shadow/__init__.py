"""Shadow execution: a module run once on real numbers while every number carries its distance from each position.

``run`` watches the kernels · ``call`` is one of them · ``reads`` knows which numbers it reads, ``cuts`` which of them
matter · ``hop`` says what reading them costs · ``storage`` keeps the shadows.
"""
