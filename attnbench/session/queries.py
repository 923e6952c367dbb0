"""A run that can be asked: for one of its laws, a forecast, a crossover or a figure; it shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from attnbench.errors import ChoiceError, InputError, LayerError, near_miss
from attnbench.fitting.predict import crossover as crossing
from attnbench.fitting.predict.crossover import Crossover
from attnbench.fitting.predict.forecast import Footprint, Forecast, forecast
from attnbench.fitting.predict.inputs import RunInputs
from attnbench.law import COUNTED_METRICS, Law, Verdict, unique_laws
from attnbench.law.table import laws_card
from attnbench.measure.machine import system
from attnbench.record import MEASURED_METRICS
from attnbench.report import words
from attnbench.session.judge import fit_times
from attnbench.store.run_folder import StoredRun
from attnbench.trial import CHOICES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Chosen(TypedDict, total=False):
    """Which of several laws of a layer is meant; what is left out does not matter."""

    device: str
    dtype: str
    mode: str
    threads: int
    compile: bool
    sdpa: str


class OpenRun(StoredRun):
    """A run folder that can be asked."""

    def law(self, layer: str, metric: str = "time", **choices: Unpack[Chosen]) -> Law:
        """One law of a layer.

        Args:
            layer: its name.
            metric: ``time``, ``memory``, or what is counted: ``flops``, ``parameters``, ``peak_bytes``, ….
            **choices: ``device``, ``dtype``, ``mode``, ``threads``, ``compile``, ``sdpa``, where there are several.

        Raises:
            InputError: there is no such law, or more than one; the message names them.
        """
        return one_law(self, layer, metric, choices)

    def predict(self, layer: str, **at: Any) -> Forecast:
        """What one visit of a layer would measure at other sizes, and the memory that it needs.

        It has no seconds where nobody could know: too far from what was measured, or beyond a cache that no trial has
        left. Its ``reason`` says why.

        Args:
            layer: its name.
            **at: sizes, ``n=4096, d=512``; those that every trial had may be left out. Choices as for `law`.

        Raises:
            InputError: the layer or an axis is not known, a size is missing, or there are several laws.
        """
        law = time_law(self, layer, {name: at.pop(name) for name in CHOICES if name in at})
        return forecast(law, at, footprint_here(self, law))

    def crossover(self, one: str, other: str, **choices: Unpack[Chosen]) -> Crossover:
        """The lengths at which two layers change places, for each width: by count and by the clock.

        Raises:
            InputError: a layer is not known, or the two were measured in different ways.
        """
        return crossover_of(self, (one, other), choices)

    def plot(
        self,
        kind: str,
        layer: str | tuple[str, str] | None = None,
        over: str | None = None,
        ax: Axes | None = None,
        **choices: Unpack[Chosen],
    ) -> Axes:
        """Draw a figure of the report, and return its axes.

        Args:
            kind: of one layer ``time``, ``memory``, ``exponents`` (local slopes), ``ways`` (every way to fit) or
                ``rates`` (of the pilot); of two layers ``crossover``; of the whole run ``forest`` or ``steadiness``.
            layer: its name; two names for ``crossover``; not needed where the run has only one.
            over: the axis; the first that varies where nothing is said.
            ax: where to draw; a new figure where nothing is said. Words beside a line need the room that a figure with
                ``layout="constrained"`` makes for them.
            **choices: as for `law`.

        Raises:
            InputError: there is no such figure, layer or axis, or nothing to draw.
        """
        from attnbench.report import plots  # drawing takes a second to import

        drawn = plots.Drawn(self, over, ax)
        if kind in plots.OF_A_RUN:
            return plots.OF_A_RUN[kind](drawn)
        if kind not in plots.KINDS:
            hint = near_miss(kind, plots.KINDS)
            raise InputError(f"there is no figure {kind!r}; there are {words.listing(plots.KINDS)}.{hint}")
        if kind == "crossover":
            return plots.crossover(drawn, crossover_of(self, _two(layer), choices))
        metric, draw = plots.OF_A_LAYER[kind]
        return draw(drawn, one_law(self, _one(layer, self), metric, choices))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.info.name}: {'; '.join([*self._summary, str(self.path)])}>"

    def _repr_html_(self) -> str:
        title = f"{self.info.plan.suite.title or self.info.plan.suite.name} ({self.info.name})"
        under = (self.info.host.cpu, words.moment(self.info.started), *self._summary)
        return str(laws_card((title, " · ".join(under)), self._shown_laws))

    @property
    def _shown_laws(self) -> Sequence[Law]:
        """Measured laws and claims that the count does not bear out; of a run that measured nothing, all claims."""
        plain = (Verdict.CONFIRMED, Verdict.INFERRED)
        if not any(law.metric in MEASURED_METRICS for law in self.found_laws):
            return [law for law in self.found_laws if law.claim] or self.found_laws
        return [law for law in self.found_laws if law.metric in MEASURED_METRICS or law.verdict not in plain]

    @property
    def _summary(self) -> list[str]:
        statuses = self.records["status"].value_counts()
        trials = f"{words.plural(len(self.records), 'trial')} ({', '.join(f'{n} {s}' for s, n in statuses.items())})"
        claims = words.tally(self._shown_laws)
        return [trials if len(statuses) else "no trials"] + ([words.tally_text(claims)] if claims else [])


def one_law(run: StoredRun, layer: str, metric: str, choices: Mapping[str, Any]) -> Law:
    """The one law that is meant; a choice that is None does not matter.

    Raises:
        ChoiceError: there are several.
        InputError: there is none.
    """
    if layer not in run.info.plan.scopes:
        raise LayerError(f"the run has no layer {layer!r}.{near_miss(layer, run.info.plan.scopes)}")
    if foreign := [name for name in choices if name not in CHOICES]:
        hint = near_miss(foreign[0], CHOICES)
        raise InputError(f"a law is chosen by {words.listing(CHOICES)}, and not by {foreign[0]!r}.{hint}")
    laws = _chosen(run.found_laws, layer, metric, choices)
    if metric in COUNTED_METRICS:
        laws = list(unique_laws(_chosen(run.info.plan.counted_laws, layer, metric, choices)))
    if len(laws) > 1:
        ways = ", ".join(str(law.choices) for law in laws)
        done = "counted" if metric in COUNTED_METRICS else "measured"
        raise ChoiceError(f"{layer} was {done} in several ways ({ways}); choose with ", CHOICES)
    if not laws:
        raise _nothing(run, layer, metric, chosen=any(value is not None for value in choices.values()))
    return laws[0]


def time_law(run: StoredRun, layer: str, choices: Mapping[str, Any]) -> Law:
    """The one law of time that is meant; fitted again where it was stored without its curve.

    Raises:
        InputError: there is no such law, or more than one.
    """
    law = one_law(run, layer, "time", choices)
    again = [] if law.curves else _chosen(fit_times(run), layer, "time", asdict(law.choices))
    return again[0] if again else law


def _chosen(laws: Iterable[Law], layer: str, metric: str, choices: Mapping[str, Any]) -> list[Law]:
    mine = [law for law in laws if (law.layer, law.metric) == (layer, metric)]
    return [law for law in mine if all(value is None or _has(law, name, value) for name, value in choices.items())]


def _has(law: Law, name: str, value: Any) -> bool:
    """Whether a law is about a choice; a count depends on few of them."""
    if law.is_counted and name == "sdpa":
        return (law.choices.sdpa == "math") is bool(value == "math")
    depends = not law.is_counted or name in ("dtype", "mode")
    return not depends or bool(getattr(law.choices, name) == value)


def _nothing(run: StoredRun, layer: str, metric: str, *, chosen: bool) -> InputError:
    """Why there is no such law."""
    known = dict.fromkeys(law.metric for law in run.found_laws if law.layer == layer)
    if metric in known and chosen:
        return ChoiceError(f"{layer} was not measured so; leave out ", CHOICES, " to see what there is")
    if metric in MEASURED_METRICS:
        what = {"time": "times"}.get(metric, metric)
        return InputError(f"the run has no {what} of {layer}; run a suite whose metrics include {metric}")
    there = f"it has {words.listing(known)}" if known else "it has none at all"
    return InputError(f"the run has no law of {metric!r} for {layer}; {there}.{near_miss(metric, known)}")


def footprint_here(run: StoredRun, law: Law) -> Footprint:
    """What the layer of a law holds in memory, and what can be taken now on the machine at hand."""
    return RunInputs(run).footprint(law, _available_bytes(law.choices.device))


def _available_bytes(device: str) -> int | None:
    """Memory of a device that can be taken now; None where this machine does not have it."""
    if device == "cpu":
        return system.available_bytes()
    from attnbench.measure.machine import host  # asks torch, which the processor's memory can do without

    return host.available_bytes(device) if device in host.devices() else None


def crossover_of(run: StoredRun, layers: tuple[str, str], choices: Mapping[str, Any]) -> Crossover:
    """Where two layers change places, by the clock and by count.

    Raises:
        InputError: a layer is not known, or the two were measured in different ways.
    """
    one, other = layers
    if one == other:
        raise InputError(f"crossover compares two layers, and {one} was named twice")
    inputs = RunInputs(run)
    first, second = (inputs.of(time_law(run, layer, choices)) for layer in layers)
    _refuse_mixture([first.law, second.law])
    return replace(crossing.crossover(first, second), operations=crossing.by_operations(first, second))


def _refuse_mixture(laws: Sequence[Law]) -> None:
    """Times of different machines or number formats say nothing about the layers."""
    ways = {law.layer: str(law.choices) for law in laws if law.curves}
    if len(set(ways.values())) > 1:
        measured = " and ".join(f"{layer} in {way}" for layer, way in ways.items())
        raise ChoiceError(f"measured were {measured}; choose what both have with ", CHOICES)


def _one(layer: str | tuple[str, str] | None, run: StoredRun) -> str:
    """The one layer that is meant."""
    if isinstance(layer, str):
        return layer
    if layer is None and len(run.info.plan.scopes) == 1:
        return next(iter(run.info.plan.scopes))
    raise InputError(f"name one layer, layer=…; the run has {words.listing(run.info.plan.scopes)}")


def _two(layers: str | tuple[str, str] | None) -> tuple[str, str]:
    if not isinstance(layers, str) and layers is not None and len(layers) == 2:
        return layers[0], layers[1]
    raise InputError("crossover compares two layers: name both, as in layer=('attention-core', 'rnn')")
