"""What is measured: axes, choices and trials, each trial with one readable id."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from itertools import compress
from typing import TYPE_CHECKING

from attnbench.errors import SuiteError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Named sizes. Their order here is their order in ids, tables and file names.
AXES: dict[str, str] = {
    "b": "batch size",
    "n": "sequence length",
    "d": "hidden size",
    "h": "heads",
    "g": "key-value heads or groups",
    "k": "kernel width",
    "l": "layers in a stack",
    "w": "half window",
    "r": "neighbourhood",
    "m": "landmarks, rank, features or states",
    "c": "block length",
    "s": "dilation",
}

#: What is done with a layer, each a trial of its own.
MODES = ("forward", "train", "decode")

#: Backends of torch's scaled_dot_product_attention that can be asked for; the default is torch's own choice.
SDPA_BACKENDS = ("default", "math", "flash", "efficient", "cudnn")

#: Axes that every input has; a layer's factory names the others.
INPUT_AXES = ("b", "n")

#: Columns of the table of trials that are no sizes; no axis may be called so.
TABLE_COLUMNS = frozenset(
    """
    trial layer device dtype mode threads compile sdpa status reason seconds seconds_low seconds_high seconds_median
    samples visits flops parameters peak_bytes saved_bytes allocated_bytes resident_bytes depth hops lower_bound
    first_call_seconds compile_seconds floor_seconds kernels host
    """.split()
)

Sizes = dict[str, int]

#: More digits than any machine has bytes; Python refuses to read thousands of them.
_LONGEST_SIZE = 18


@dataclass(frozen=True, slots=True, order=True)
class Choices:
    """The named (not numbered) axes of a trial.

    Attributes:
        device, dtype, mode: where, in what numbers, and what is done with the layer.
        threads: number of CPU threads.
        compile: whether ``torch.compile`` made one graph of the layer.
        sdpa: backend of scaled_dot_product_attention, of `SDPA_BACKENDS`.
    """

    device: str = "cpu"
    dtype: str = "float32"
    mode: str = "forward"
    threads: int = 1
    compile: bool = False
    sdpa: str = "default"

    @property
    def slug(self) -> str:
        """Text for ids and file names: ``cpu-float32-forward-t1``; what is not usual is added at its end."""
        usual = f"{self.device.replace(':', '')}-{self.dtype}-{self.mode}-t{self.threads}"
        return usual + "-compiled" * self.compile + (f"-sdpa-{self.sdpa}" if self.sdpa != "default" else "")

    @property
    def words(self) -> tuple[str, ...]:
        """Every choice in words: ``cpu``, ``float32``, ``forward``, ``1 thread``, ``not compiled`` …."""
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        compiled = "compiled" if self.compile else "not compiled"
        return self.device, self.dtype, self.mode, threads, compiled, f"sdpa: {self.sdpa}"

    def __str__(self) -> str:
        """``cpu · float32 · forward · 1 thread``, and what is not usual; without a device, what a count is about."""
        told = (bool(self.device), True, True, bool(self.device), self.compile, self.sdpa != "default")
        return " · ".join(compress(self.words, told))


#: What is chosen where nothing is said.
USUAL = Choices()

#: Names of the choices, in the order of columns and of keys.
CHOICES = tuple(field.name for field in fields(Choices))


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """A layer under one choice: what a count, a law and a section of a report are about.

    Attributes:
        layer: the registered name; empty for anyone's measurements.
        choices: device, dtype, mode, threads and the like.
    """

    layer: str
    choices: Choices = USUAL

    @property
    def id(self) -> str:
        """What the ids of all its trials begin with: ``rnn-cpu-float32-forward-t1``."""
        return f"{self.layer}-{self.choices.slug}"

    @property
    def count_key(self) -> Subject:
        """The subject with every choice at its default that changes nothing that is counted.

        Counts are those of the layer as it is written, so that compiling changes none. Of the backends of attention,
        ``math`` makes the n×n matrix and is counted by itself; the others are fused alike.
        """
        sdpa = "math" if self.choices.sdpa == "math" else "default"
        return Subject(self.layer, Choices(dtype=self.choices.dtype, mode=self.choices.mode, sdpa=sdpa))


#: What the laws of anyone's measurements are about.
ANYTHING = Subject("", Choices(device="", dtype=""))


def differences(several: Iterable[Choices]) -> dict[Choices, str]:
    """For each of several choices, what tells it from the others: ``decode · 2 threads``; empty for a single one."""
    choices = tuple(dict.fromkeys(several))
    varying = [len(set(column)) > 1 for column in zip(*(each.words for each in choices), strict=True)]
    return {each: " · ".join(compress(each.words, varying)) for each in choices}


@dataclass(frozen=True, slots=True)
class Trial:
    """One layer at one point of the axes.

    Attributes:
        subject: the layer, with device, dtype, mode, threads, and the like.
        sizes: axis → size, for every axis the layer has.
    """

    subject: Subject
    sizes: Sizes = field(hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", ordered(self.sizes))

    @property
    def layer(self) -> str:
        """The registered name."""
        return self.subject.layer

    @property
    def choices(self) -> Choices:
        """Device, dtype, mode, threads, and the like."""
        return self.subject.choices

    @property
    def id(self) -> str:
        """Stable and readable, for example ``rnn-cpu-float32-forward-t1-b32-n64-d512``."""
        return f"{self.subject.id}-{slug(self.sizes)}"


def ordered(sizes: Sizes) -> Sizes:
    """`sizes` in the order of `AXES`; unnamed axes follow, by name."""
    known = {axis: sizes[axis] for axis in AXES if axis in sizes}
    return known | {axis: sizes[axis] for axis in sorted(set(sizes) - set(known))}


def slug(sizes: Sizes) -> str:
    """``b32-n64-d512``."""
    return "-".join(f"{axis}{size}" for axis, size in ordered(sizes).items())


def describe(sizes: Sizes) -> str:
    """``b=32, n=64, d=512``, for sentences."""
    return ", ".join(f"{axis}={size}" for axis, size in ordered(sizes).items())


def parse_sizes(text: str) -> Sizes:
    """Axis sizes written ``n=128,d=64``.

    Raises:
        SuiteError: a part is not ``axis=size`` with a positive whole size, or an axis comes twice.
    """
    sizes: Sizes = {}
    for part in text.split(","):
        axis, equals, size = (piece.strip() for piece in part.partition("="))
        if not (axis.isidentifier() and equals):
            raise SuiteError(f"sizes are written n=128,d=64; {part.strip()!r} in {text!r} is not")
        if axis in sizes:
            raise SuiteError(f"axis {axis!r} is given twice in {text!r}; keep one")
        sizes[axis] = parse_size(size, where=f"{axis} in {text!r}")
    return ordered(sizes)


def parse_size(value: object, where: str) -> int:
    """A positive whole number, from TOML or from text.

    Raises:
        SuiteError: it is something else; the message names `where`.
    """
    text = str(value).strip()
    readable = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_SIZE
    if isinstance(value, bool) or not readable or int(text) == 0:
        raise SuiteError(f"{where} needs a positive whole number, not {value!r}")
    return int(text)
