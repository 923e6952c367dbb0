"""The content of ``run.json``: everything about a run that is known before its first round; and where runs lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from attnbench.errors import InputError, RunError
from attnbench.formula import Formula
from attnbench.law.rows import flat, nested
from attnbench.plan.plan import Plan
from attnbench.record import SCHEMA, Counted, Host
from attnbench.spec import Suite, from_mapping
from attnbench.store.damage import FOREIGN, FlawError, damage, foreign_key, strictly
from attnbench.store.fingerprint import of_mapping

#: Key of run.json: the hash of all its other keys.
_SHA256 = "sha256"
#: Keys that stand first, in their order.
_ORDER = """
    schema name suite suite_name command seed started version host trials counted counted_laws plugins skipped
    unsupported claims scopes windows calibration calibration_seconds timer_overhead_seconds floors visit_seconds
    journal_start code reach paths weights fading peaks
""".split()


@dataclass(frozen=True)
class RunInfo:
    """A plan, and when, where and with what it is carried out.

    Attributes:
        name: the run folder's name.
        command: the command line that reproduces the run.
        seed: the run's seed.
        started: ISO 8601 time in UTC.
        version: attnbench's version.
        host: facts about the machine.
        plan: what is measured, and all that is known of it before.
        plugins: files and modules of plugins.
        journal_start: the checksum from which that of the journal's first line goes on, drawn for this run; 0 where an
            older attnbench drew none.
        code: what measured → its fingerprint: attnbench, and each plugin by its file or module; empty where an older
            attnbench kept none.
    """

    name: str
    command: str
    seed: int
    started: str
    version: str
    host: Host
    plan: Plan
    plugins: tuple[str, ...] = ()
    journal_start: int = 0
    code: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The content of ``run.json``, in which the plan has no key of its own."""
        content = asdict(self)
        plan = content.pop("plan")
        observations = plan.pop("observations")
        del plan["sentences"]
        return dict.fromkeys(_ORDER) | {
            "schema": SCHEMA,
            **content,
            **plan,
            **observations,
            "suite": self.plan.suite.as_json(),
            "suite_name": self.plan.suite.name,
            "trials": [_flat_trial(**trial) for trial in plan["trials"]],
            "counted": {trial: counted.as_json() for trial, counted in self.plan.counted.items()},
            "counted_laws": [flat(law) for law in plan["counted_laws"]],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> RunInfo:
        """Inverse of `as_json`.

        Raises:
            FlawError: its suite cannot be read, or a value has another type.
            LookupError, TypeError, AttributeError: something is missing, or of another kind.
        """
        plan = {
            **content,
            "suite": asdict(_suite(content)),
            "trials": [_trial(**row) for row in content["trials"]],
            "counted": {trial: asdict(Counted.from_json(row)) for trial, row in content["counted"].items()},
            "counted_laws": [nested(row) for row in content["counted_laws"]],
            "observations": content,
        }
        try:
            return msgspec.convert({**content, "plan": plan}, cls)
        except msgspec.ValidationError as error:  # in the file all keys stand beside each other
            raise FlawError(str(error).replace("$.plan.observations.", "$.").replace("$.plan.", "$.")) from None


def _suite(content: dict[str, Any]) -> Suite:
    try:
        return from_mapping(content["suite"], content["suite_name"], "run.json")
    except InputError as error:
        raise FlawError(str(error)) from None


def _trial(layer: str, sizes: dict[str, int], **choices: Any) -> dict[str, Any]:
    return {"subject": {"layer": layer, "choices": choices}, "sizes": sizes}


def _flat_trial(subject: dict[str, Any], sizes: dict[str, int]) -> dict[str, Any]:
    return {"layer": subject["layer"], "sizes": sizes, **subject["choices"]}


def with_hash(info: RunInfo) -> dict[str, Any]:
    """What `read` reads: the content of ``run.json`` with a hash of it."""
    content = info.as_json()
    return {**content, _SHA256: of_mapping(content)}


def read(text: str) -> RunInfo:
    """What a ``run.json`` of this schema holds, if it is what was written.

    The hash in it says so. An older attnbench wrote none, so what it wrote is checked key by key.

    Raises:
        FlawError: it was changed, or holds something else.
        LookupError, TypeError, AttributeError: something is missing, or of another kind.
    """
    content = json.loads(text)
    written = content.pop(_SHA256, None)
    if written is None and "code" not in content:
        return _looked_over(strictly(text))
    if written != of_mapping(content):
        raise FlawError("it was changed since the run began, so nothing can be read from it; start a new run")
    return RunInfo.from_json(content)


def _looked_over(content: dict[str, Any]) -> RunInfo:
    """A run without a hash, once it has no key that nobody wrote, formulas that fit, and a scope for each layer."""
    info = RunInfo.from_json(content)
    if foreign := foreign_key(content, info.as_json()):
        raise FlawError(f"no run has {foreign!r}")
    try:
        for layer, text in _formulas(info.plan):
            sizes = {axis for trial in info.plan.trials if trial.layer == layer for axis in trial.sizes}
            if sizes and (unknown := Formula(text).axes - sizes):
                raise FlawError(f"{text} of {layer} has {min(unknown)}, which no trial has")
    except InputError as error:
        raise FlawError(str(error)) from None
    if missing := {trial.layer for trial in info.plan.trials} - set(info.plan.scopes):
        raise FlawError(f"it does not say what scope {min(missing)} has")
    return info


def _formulas(plan: Plan) -> Iterator[tuple[str, str]]:
    """Layer and text of whatever a fit may read as a formula."""
    for layer, claims in plan.claims.items():
        yield from ((layer, text) for text in claims.values())
    yield from ((law.layer, law.formula) for law in plan.counted_laws if law.formula)


def runs_in(folder: Path) -> list[Path]:
    """Run folders directly inside `folder`, newest first."""
    folders = [path.parent for path in folder.glob("*/run.json")]
    return sorted(folders, key=lambda path: (path / "run.json").stat().st_mtime, reverse=True)


def read_info(folder: Path) -> RunInfo:
    """What was known of a run before its first round.

    Raises:
        RunError: the folder is no run, has another schema, or its ``run.json`` is damaged.
    """
    path = folder / "run.json"
    try:
        text = path.read_text(encoding="utf-8")
        if (schema := json.loads(text)["schema"]) == SCHEMA:
            return read(text)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{path.parent} is not a run: it has no run.json; `attnbench list runs` shows the runs"
        ) from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    except FOREIGN as error:
        raise RunError(damage(path, error)) from None
    raise RunError(f"{path} has schema {schema!r:.40}; this version reads schema {SCHEMA}")
