"""A suite file as a value, checked key by key.

A suite is data: TOML with a title, a question, metrics, a budget, devices and sweeps. It holds no code and
includes nothing. Anything unknown is an error with the nearest known word.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

from attnbench.errors import InputError, SuiteError, near_miss
from attnbench.law import COUNTED_METRICS
from attnbench.record import MEASURED_METRICS
from attnbench.trial import AXES, MODES, SDPA_BACKENDS, Choices, parse_size
from attnbench.units import parse_duration

#: What a run can produce today, and what it produces where a suite does not say.
METRICS = (*COUNTED_METRICS, *MEASURED_METRICS)
_USUAL_METRICS = ("flops", "parameters", "peak_bytes", "time")
#: What can be looked at beside them: attention weights, and what becomes of a position in a stack of layers.
PICTURES = ("weights", "position")
DTYPES = ("float32", "float64", "bfloat16", "float16")
AUTO = "auto"

#: Sizes of one axis: chosen by the planner, or given.
AxisValues = tuple[int, ...] | str

_SUITE_KEYS = (
    *("title", "question", "metrics", "budget"),
    *("device", "dtype", "mode", "threads", "compile", "sdpa"),
    *("pictures", "sweep"),
)
_RANGE_KEYS = ("from", "to", "factor")


@dataclass(frozen=True)
class Sweep:
    """Some layers over some sizes. Axes that are not named keep the layer's defaults."""

    layers: tuple[str, ...]
    axes: Mapping[str, AxisValues]


@dataclass(frozen=True)
class Suite:
    """One question to a machine.

    Attributes:
        name: what the run folder is called after.
        title: the report's heading.
        question: what the run answers, in words.
        metrics: what to produce, of `METRICS`.
        budget: seconds of clock for timing.
        devices: device names as typed; ``auto`` is resolved when the run starts.
        dtypes: dtype names.
        modes: modes, of `MODES`.
        threads: numbers of CPU threads; each has measuring processes of its own.
        sweeps: layers and sizes.
        pictures: what to look at beside the metrics, of `PICTURES`.
        compiles: without ``torch.compile``, with it, or both.
        sdpa: backends of scaled_dot_product_attention, of `SDPA_BACKENDS`.
    """

    name: str
    title: str
    question: str
    metrics: tuple[str, ...]
    budget: float
    devices: tuple[str, ...]
    dtypes: tuple[str, ...]
    modes: tuple[str, ...]
    threads: tuple[int, ...]
    sweeps: tuple[Sweep, ...]
    pictures: tuple[str, ...] = ()
    compiles: tuple[bool, ...] = (False,)
    sdpa: tuple[str, ...] = ("default",)

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer named, once, in order."""
        return tuple(dict.fromkeys(layer for sweep in self.sweeps for layer in sweep.layers))

    @property
    def choices(self) -> tuple[Choices, ...]:
        """Every device with every dtype, mode, number of threads, with and without compiling, and every backend."""
        every = (self.devices, self.dtypes, self.modes, self.threads, self.compiles, self.sdpa)
        return tuple(Choices(*one) for one in product(*every))

    def only(self, layers: Iterable[str]) -> Suite:
        """The suite restricted to `layers`, all of which it names."""
        wanted = set(layers)
        kept = (replace(s, layers=tuple(name for name in s.layers if name in wanted)) for s in self.sweeps)
        return replace(self, sweeps=tuple(sweep for sweep in kept if sweep.layers))

    def adding(self, layer: str, axes: Iterable[str]) -> Suite:
        """The suite with `layer` beside its own, swept automatically over `axes`; unchanged if it names it already."""
        if layer in self.layers:
            return self
        return replace(self, sweeps=(*self.sweeps, Sweep((layer,), dict.fromkeys(axes, AUTO))))

    def with_sizes(self, sizes: Mapping[str, AxisValues]) -> Suite:
        """The suite with the sizes of some axes replaced in every sweep."""
        return replace(self, sweeps=tuple(replace(s, axes={**s.axes, **sizes}) for s in self.sweeps))

    def as_json(self) -> dict[str, Any]:
        """A mapping that `from_mapping` reads back, given the name."""
        return {
            "title": self.title,
            "question": self.question,
            "metrics": list(self.metrics),
            "budget": f"{Decimal(str(self.budget)):f}s",  # never 1e+06s, which could not be read back
            "device": list(self.devices),
            "dtype": list(self.dtypes),
            "mode": list(self.modes),
            "threads": list(self.threads),
            **({"pictures": list(self.pictures)} if self.pictures else {}),
            "compile": list(self.compiles),
            "sdpa": list(self.sdpa),
            "sweep": [
                {
                    "layers": list(s.layers),
                    **{a: v if isinstance(v, str) else list(v) for a, v in s.axes.items()},
                }
                for s in self.sweeps
            ],
        }


def shipped_folder() -> Path:
    """The folder of shipped suites: inside the installed package, or at the top of a checkout."""
    inside = Path(__file__).parent / "suites"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "suites"


def shipped() -> tuple[str, ...]:
    """Names of the shipped suites."""
    return tuple(sorted(path.stem for path in shipped_folder().glob("*.toml")))


def load_suite(name_or_file: str) -> Suite:
    """A shipped suite by name, or a file by path.

    Raises:
        SuiteError: there is none, or it cannot be read; the message names file, key and line where known.
    """
    path = Path(name_or_file)
    if not (path.suffix == ".toml" or path.is_file()):
        if name_or_file not in shipped():
            hint = near_miss(name_or_file, shipped())
            raise SuiteError(
                f"unknown suite {name_or_file!r}.{hint} Shipped: {', '.join(shipped())}; or give a .toml file."
            )
        path = shipped_folder() / f"{name_or_file}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SuiteError(f"suite {name_or_file}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SuiteError(f"suite {name_or_file} cannot be read: {reason}") from None
    except (ValueError, RecursionError) as error:  # endless numbers and nesting are no TOMLDecodeError
        raise SuiteError(f"suite {name_or_file} is not valid TOML: {error}") from None
    return from_mapping(content, name=path.stem, where=str(name_or_file))


def from_mapping(content: Mapping[str, Any], name: str, where: str) -> Suite:
    """A suite from its parsed TOML; every error message opens with ``suite`` and `where`.

    Raises:
        SuiteError: a key is unknown, missing or has a wrong value.
    """
    where = f"suite {where}"
    _known_keys(content, _SUITE_KEYS, where)
    sweeps = content.get("sweep")
    if not isinstance(sweeps, list) or not sweeps or not all(isinstance(sweep, dict) for sweep in sweeps):
        raise SuiteError(f"{where} needs at least one [[sweep]] table with layers")
    return Suite(
        name=name,
        title=_text(content, "title", where, default=name),
        question=_text(content, "question", where, default=""),
        metrics=_words(content.get("metrics", _USUAL_METRICS), METRICS, "metrics", where),
        budget=_budget(content.get("budget", "60s"), where),
        devices=_words(content.get("device", [AUTO]), None, "device", where),
        dtypes=_words(content.get("dtype", ["float32"]), DTYPES, "dtype", where),
        modes=_words(content.get("mode", ["forward"]), MODES, "mode", where),
        threads=_threads(content.get("threads", 1), f"{where}: threads"),
        sweeps=tuple(_sweep(sweep, f"{where}, sweep {number}") for number, sweep in enumerate(sweeps, start=1)),
        pictures=_words(content["pictures"], PICTURES, "pictures", where) if "pictures" in content else (),
        compiles=_switches(content.get("compile", False), f"{where}: compile"),
        sdpa=_words(content.get("sdpa", ["default"]), SDPA_BACKENDS, "sdpa", where),
    )


def parse_axis(text: str) -> tuple[str, AxisValues]:
    """An override typed as ``n=128,256`` or ``n=auto``.

    Raises:
        SuiteError: it is something else.
    """
    axis, equals, values = text.partition("=")
    axis = axis.strip()
    if not (axis.isidentifier() and equals):
        raise SuiteError(f"--set {text}: write an axis and its sizes, such as n=128,256 or n=auto")
    if axis not in AXES and (hint := near_miss(axis, AXES)):
        raise SuiteError(f"--set {text}: unknown axis {axis!r}.{hint}")
    given: Any = AUTO if values.strip() == AUTO else values.split(",")
    return axis, _axis_values(given, f"--set {axis}")


def _sweep(table: Mapping[str, Any], where: str) -> Sweep:
    short = (key for key in table if len(key) <= 2 and key.isidentifier())  # axes of plugins
    _known_keys(table, dict.fromkeys(("layers", *AXES, *short)), where)
    layers = _words(table.get("layers"), None, "layers", where)
    axes = {axis: _axis_values(value, f"{where}: {axis}") for axis, value in table.items() if axis != "layers"}
    return Sweep(layers, axes)


def _axis_values(value: Any, where: str) -> AxisValues:
    match value:
        case "auto":
            return AUTO
        case int():
            return (parse_size(value, where),)
        case list() if value:
            return tuple(dict.fromkeys(parse_size(item, where) for item in value))
        case dict():
            return _range(value, where)
    raise SuiteError(f'{where} needs "auto", a list of sizes or {{ from = 64, to = 4096, factor = 2 }}, not {value!r}')


def _range(table: Mapping[str, Any], where: str) -> AxisValues:
    _known_keys(table, _RANGE_KEYS, where)
    if missing := [key for key in _RANGE_KEYS if key not in table]:
        raise SuiteError(f"{where}: a range needs from, to and factor; {missing[0]} is missing")
    first, last, factor = (parse_size(table[key], f"{where}: {key}") for key in _RANGE_KEYS)
    if factor < 2 or last < first:
        raise SuiteError(f"{where}: a range runs upwards with a factor of 2 or more, not {dict(table)}")
    values = [first]
    while values[-1] * factor <= last:
        values.append(values[-1] * factor)
    return tuple(values)


def _known_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in table:
        if key not in known:
            hint = near_miss(key, known) or f" Known: {', '.join(known)}."
            raise SuiteError(f"{where}: unknown key {key!r}.{hint}")


def _text(table: Mapping[str, Any], key: str, where: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise SuiteError(f"{where}: {key} must be text, not {value!r}")
    return value


def _words(value: Any, known: Iterable[str] | None, key: str, where: str) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not words or not all(isinstance(word, str) for word in words):
        raise SuiteError(f"{where}: {key} must be a list of words, not {value!r}")
    for word in words:
        if known is not None and word not in known:
            raise SuiteError(f"{where}: unknown {key} {word!r}.{near_miss(word, known)} Known: {', '.join(known)}.")
    return tuple(dict.fromkeys(words))


def _threads(value: Any, where: str) -> tuple[int, ...]:
    numbers = value if isinstance(value, list) and value else [value]
    return tuple(dict.fromkeys(parse_size(number, where) for number in numbers))


def _switches(value: Any, where: str) -> tuple[bool, ...]:
    states = value if isinstance(value, list) and value else [value]
    if not all(isinstance(state, bool) for state in states):
        raise SuiteError(f"{where} must be true, false or [false, true], not {value!r}")
    return tuple(dict.fromkeys(states))


def _budget(value: Any, where: str) -> float:
    if not isinstance(value, str):
        raise SuiteError(f'{where}: budget must be a duration such as "60s", not {value!r}')
    try:
        return parse_duration(value)
    except InputError as error:
        raise SuiteError(f"{where}: budget: {error}") from None
