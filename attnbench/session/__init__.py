"""The rooms joined: from a request to a run, its laws, and the questions asked of it.

``request`` checks what a user asks for · ``prepare`` makes the plan, of ``counts`` and what a ``pilot`` sees · ``run``
makes the ``visits``, fits and loads · ``judge`` fits the laws of a run · ``queries`` answers from them · ``reporter``
is told of progress.
"""
