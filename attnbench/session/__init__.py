"""The rooms joined: from a request to a run, its laws, and the questions asked of it.

``request`` checks what a user asks for · ``prepare`` counts, probes and plans · ``run`` measures, fits and loads ·
``judge`` fits the laws of a run · ``queries`` answers from them · ``reporter`` is told of progress.
"""
