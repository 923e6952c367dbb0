"""Reporting: one self-contained HTML page a run, and an index of the runs, from tables alone; never torch.

``slices`` cuts a run into what single figures show, ``figures`` draws them, ``svg`` makes them part of a page,
``build`` puts everything into the values of ``context``, and ``page`` writes the files.
"""
