"""Shadow execution: a module run once on real numbers while every number knows which others it was computed from.

``run`` watches the kernels · the operators' rules say which numbers each number is computed from · ``storage`` keeps
their names, and ``numbers`` what they were computed from and, in the end, how far they are from each input position ·
``hop`` says what reading a number costs, by where ``homes`` finds it at home.
"""
