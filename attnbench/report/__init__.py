"""Reporting: one self-contained HTML page a run, and an index of the runs, from tables alone; never torch.

``data`` cuts a run into what single figures show, ``figures`` draws them, ``sections`` puts each section of the page
into values, ``build`` all of them into one ``context``, and ``page`` fills the templates and writes the files.
"""
