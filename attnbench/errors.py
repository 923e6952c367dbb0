"""Every error a user can meet.

::

    AttnbenchError                something went wrong that one sentence explains     exit 1
    ├── InputError                the user can put it right                           exit 2
    │   ├── FormulaError          a claim or formula that cannot be read
    │   ├── SuiteError            a suite file or an override that cannot be read
    │   ├── LayerError            an unknown layer, or sizes it cannot be built at
    │   │   ├── PluginError       a plugin that cannot be loaded or breaks the contract
    │   │   └── UnsupportedError  a mode or dtype that a layer does not support here
    │   ├── RunError              a folder that is not a run, or cannot be written
    │   ├── ChoiceError           choices that name no law of a run, or several
    │   └── DeviceError           a device that this machine does not have
    ├── WorkerError               a measuring process that could not be started
    └── RunInterruptedError       the user stopped a run; what was measured is kept   exit 130
        └── RunTerminatedError    another program stopped it (SIGTERM)                exit 143

A message says what was wrong, where, and what to do next, in one line.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class AttnbenchError(Exception):
    """Something went wrong that one sentence explains."""

    exit_code = 1


class InputError(AttnbenchError):
    """The user gave something that can be put right."""

    exit_code = 2


class FormulaError(InputError):
    """A formula that cannot be read, or that does not have the form asked for."""


class SuiteError(InputError):
    """A suite file, or an override of it, that cannot be read."""


class LayerError(InputError):
    """An unknown layer, or sizes at which a layer cannot be built."""


class PluginError(LayerError):
    """A plugin that cannot be loaded or that breaks the layer contract."""


class UnsupportedError(LayerError):
    """A layer that does not support a mode, a dtype or another choice here."""


class RunError(InputError):
    """A folder that is not a run, or one that cannot be read or written."""


class ChoiceError(InputError):
    """Choices that name no law of a run, or several; it says how as Python has it, and `written` as others do.

    Args:
        before, after: what the message says before and after it lists the choices.
        choices: names of the choices that there are.
    """

    def __init__(self, before: str, choices: Iterable[str], after: str = "") -> None:
        super().__init__(before, after)
        self._before, self._choices, self._after = before, tuple(choices), after

    def __str__(self) -> str:
        return self.written("{}=")

    def written(self, form: str) -> str:
        """The message with each choice in a form such as ``--{}``."""
        *most, last = map(form.format, self._choices)
        return f"{self._before}{', '.join(most)} or {last}{self._after}"


class DeviceError(InputError):
    """A device that this machine does not have."""


class WorkerError(AttnbenchError):
    """A measuring process that could not be started or spoke out of turn."""


class RunInterruptedError(AttnbenchError):
    """The user stopped a run; what was measured is kept."""

    exit_code = 130


class RunTerminatedError(RunInterruptedError):
    """Another program stopped a run; what was measured is kept."""

    exit_code = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM on its way through the program: whatever stops for Ctrl-C stops for it as well."""


def stopped_by(stop: KeyboardInterrupt, message: str) -> RunInterruptedError:
    """The error that says who stopped a run."""
    return RunTerminatedError(message) if isinstance(stop, Terminated) else RunInterruptedError(message)


def words_of(error: BaseException) -> str:
    """What an error says, on one line, without the addresses of objects: they tell nobody anything."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(str(error).split()))


def near_miss(word: str, known: Iterable[str]) -> str:
    """``" Did you mean 'rnn'?"`` when one of `known` is close to `word`, else an empty string."""
    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {matches[0]!r}?" if matches else ""
