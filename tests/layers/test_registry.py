"""Layers are found where the contract says, and a broken plugin is one clear sentence with its name and its line."""

from __future__ import annotations

import pickle
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from attnbench.errors import LayerError, PluginError
from attnbench.layers.registry import BUILT_IN, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINE = '''
    """A layer of mine, which does nothing.

    And says no more about it here.
    """

    from torch import nn

    from attnbench import Claims, Layer


    def build(d: int) -> nn.Module:
        return nn.Identity()


    LAYER = Layer(name="mine", build=build, claims=Claims(parameters="0"))
'''

#: A plugin down to the line that a test replaces: line 8.
BEGINNING = """
    import sys

    from attnbench import Claims, Layer

    def build(d, h=1):
        return None

"""


@pytest.fixture(autouse=True)
def _nothing_stays_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text).removeprefix("\n"), encoding="utf-8")
    return path


def install(site: Path, entry_points: str, name: str = "ring-attention") -> None:
    """What an installer leaves behind of a distribution, beside its modules."""
    folder = site / f"{name.replace('-', '_')}-1.2.dist-info"
    write(folder / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    write(folder / "entry_points.txt", "[attnbench.layers]\n" + dedent(entry_points))


# --------------------------------------------------------------------------------------------- what is built in


def test_every_built_in_layer_has_the_name_it_is_listed_under() -> None:
    registry = Registry()

    assert [registry.get(name).name for name in registry.names] == list(BUILT_IN)
    assert {registry.origin(name) for name in registry.names} == {"built in"}


def test_a_built_in_layer_is_summed_up_by_the_first_line_of_its_file() -> None:
    assert Registry().summary("conv1d") == "Convolution over the sequence with a centred kernel of width k."


@pytest.mark.parametrize("ask", [Registry.get, Registry.origin, Registry.summary])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rn", "unknown layer 'rn'. Did you mean 'rnn'?"),
        ("attention_core", "unknown layer 'attention_core'. Did you mean 'attention-core'?"),
        ("mamba", "unknown layer 'mamba'. Did you mean 'mamba-2'?"),
        ("hyena", "unknown layer 'hyena'. `attnbench list layers` shows all."),
    ],
)
def test_an_unknown_layer_brings_the_nearest_name(ask: object, name: str, message: str) -> None:
    with pytest.raises(LayerError) as caught:
        ask(Registry(), name)

    assert str(caught.value) == message


# ------------------------------------------------------------------------------------------ where plugins are found


def test_a_plugin_is_found_by_file(tmp_path: Path) -> None:
    path = str(write(tmp_path / "mine.py", MINE))

    registry = Registry([path])

    assert registry.get("mine").name == "mine"
    assert registry.names == (*BUILT_IN, "mine")
    assert registry.origin("mine") == path
    assert registry.summary("mine") == "A layer of mine, which does nothing."
    assert registry.plugins == (path,)


def test_a_plugin_is_found_by_a_path_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mine.py", MINE)
    monkeypatch.chdir(tmp_path)

    assert Registry(["mine.py"]).origin("mine") == "mine.py"


def test_a_plugin_is_found_by_module(tmp_path: Path) -> None:
    write(tmp_path / "ring_layers" / "__init__.py", "")
    write(tmp_path / "ring_layers" / "ring.py", MINE)
    sys.path.insert(0, str(tmp_path))

    registry = Registry(["ring_layers.ring"])

    assert registry.origin("mine") == "ring_layers.ring"
    assert registry.get("mine").build.__module__ == "ring_layers.ring"


def test_a_module_in_the_current_folder_is_found_as_python_dash_m_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "ring_here.py", MINE)
    monkeypatch.chdir(tmp_path)

    assert Registry(["ring_here"]).origin("mine") == "ring_here"


def test_an_installed_plugin_is_found_by_its_entry_point(tmp_path: Path) -> None:
    write(tmp_path / "ring_installed.py", MINE)
    install(tmp_path, "mine = ring_installed\n")
    sys.path.insert(0, str(tmp_path))

    registry = Registry()

    assert registry.get("mine").name == "mine"
    assert registry.names == (*BUILT_IN, "mine")
    assert registry.origin("mine") == "ring-attention 1.2"
    assert registry.summary("mine") == "A layer of mine, which does nothing."


def test_each_entry_point_of_a_distribution_is_loaded_whatever_it_is_called(tmp_path: Path) -> None:
    one, two = MINE.replace('"mine"', '"one"'), MINE.replace('"mine"', '"two"')
    write(tmp_path / "ring_one.py", one)
    write(tmp_path / "ring_two.py", two.replace("LAYER = ", "LAYERS = [").rstrip() + "]\n")
    install(tmp_path, "first = ring_one:LAYER\nsecond = ring_two\nalso-second = ring_two\n")
    sys.path.insert(0, str(tmp_path))

    registry = Registry()

    assert sorted(set(registry.names) - set(BUILT_IN)) == ["one", "two"]
    assert registry.origin("two") == "ring-attention 1.2"


def test_an_installed_plugin_may_be_named_on_the_command_line_too(tmp_path: Path) -> None:
    write(tmp_path / "ring_both.py", MINE)
    install(tmp_path, "mine = ring_both\n")
    sys.path.insert(0, str(tmp_path))

    registry = Registry(["ring_both", "ring_both"])

    assert registry.names == (*BUILT_IN, "mine")
    assert registry.origin("mine") == "ring_both"


def test_a_plugin_may_expose_several_layers(tmp_path: Path) -> None:
    several = MINE + '    LAYERS = (LAYER, Layer(name="mine-too", build=build))\n    del LAYER\n'

    registry = Registry([str(write(tmp_path / "several.py", several))])

    assert registry.names == (*BUILT_IN, "mine", "mine-too")


def test_two_files_of_one_name_are_two_plugins_and_both_can_be_pickled(tmp_path: Path) -> None:
    here = write(tmp_path / "here" / "mine.py", MINE)
    there = write(tmp_path / "there" / "mine.py", MINE.replace('"mine"', '"other"').replace("A layer", "Another"))

    registry = Registry([str(here), str(there)])

    assert registry.summary("mine") == "A layer of mine, which does nothing."
    assert registry.summary("other") == "Another of mine, which does nothing."
    for name in ("mine", "other"):
        build = registry.get(name).build
        assert pickle.loads(pickle.dumps(build)) is build  # noqa: S301  our own bytes


# ------------------------------------------------------------------------------------------ factories without a layer

FACTORIES = """
    \"\"\"Models of mine.\"\"\"

    from torch import nn

    from attnbench import Layer

    class Block(nn.Sequential):
        \"\"\"Two maps.\"\"\"

        def __init__(self, d: int, f: int = 8, bias: bool = False) -> None:
            super().__init__(nn.Linear(d, f, bias), nn.Linear(f, d, bias))

    def build(d, h=2):
        return nn.MultiheadAttention(d, h)

    def anything(*args):
        return nn.Identity()

    width = 3
    LISTED = Layer("listed", build)
"""


def test_a_factory_without_a_layer_is_found_by_its_file_and_name(tmp_path: Path) -> None:
    path = write(tmp_path / "models.py", FACTORIES)
    registry, name = Registry(), f"{path}:Block"

    layer = registry.get(name)

    assert layer.axes == {"b": None, "n": None, "d": None, "f": 8}
    assert (registry.origin(name), registry.summary(name)) == (str(path), "Two maps.")
    assert registry.sources == {str(path): path}
    assert registry.summary(f"{path}:build") == "Models of mine."
    assert pickle.loads(pickle.dumps(layer)) == layer  # noqa: S301  our own bytes


def test_a_layer_may_be_asked_for_by_its_file_too_and_so_may_a_module_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "ring_models.py", FACTORIES)
    monkeypatch.chdir(tmp_path)

    assert Registry().get("ring_models.py:LISTED").name == "listed"
    assert Registry().get("ring_models:build").name == "ring_models:build"


def test_a_layer_is_called_as_it_was_asked_for_or_by_its_file_alone_where_that_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 20)
    write(folder / "models.py", FACTORIES)
    long = Registry().get(f"{folder}/models.py:build")
    monkeypatch.chdir(folder)

    assert long.name == Registry().get("models.py:build").name == "models.py:build"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no.py:build", "plugin no.py: there is no such file"),
        ("models.py:biuld", "plugin models.py: it defines no 'biuld'. Did you mean 'build'?"),
        ("models.py:nothing_like_it", "plugin models.py: it defines no 'nothing_like_it'"),
        ("models.py:width", "plugin models.py, 'width': a layer is made of a factory of modules, not of int"),
        (
            "models.py:anything",
            (
                "plugin models.py, 'anything': the factory 'anything' names no axes, only *args or **kwargs; "
                "name them, as in build(d, h=4)"
            ),
        ),
    ],
)
def test_a_factory_that_is_not_there_or_names_no_axes_is_one_sentence(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "models.py", FACTORIES)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(PluginError) as caught:
        Registry().get(name)

    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["models.py", ":build", "a:b:", "models.py:1"])
def test_a_name_that_leads_nowhere_is_an_unknown_layer(name: str) -> None:
    with pytest.raises(LayerError, match=rf"^unknown layer '{name}'\. "):
        Registry().get(name)


# -------------------------------------------------------------------------------------------------- broken plugins


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_thing", ", line 8: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("raise ValueError('two\\nlines')", ", line 8: ValueError: two lines"),
        ("def build(d)", ", line 8: SyntaxError: expected ':'"),
        ("sys.exit(3)", ", line 8: SystemExit: 3"),
        ("import json; json.loads('[')", ", line 8: JSONDecodeError: Expecting value: line 1 column 2 (char 1)"),
        ("import ast; ast.parse('1 +')", ", line 8: SyntaxError: invalid syntax"),
        ("def fail():\n        1 / 0\n    fail()", ", line 9: ZeroDivisionError: division by zero"),
        ("", ": it exposes neither LAYER nor LAYERS"),
        ("LAYER, LAYERS = 1, 2", ": it exposes both LAYER and LAYERS; keep one"),
        ("LAYER = 'rnn'", ": LAYER must hold an attnbench.Layer, not str"),
        ("LAYERS = []", ": LAYERS must be a list of layers, not []"),
        ("LAYERS = 7", ": LAYERS must be a list of layers, not 7"),
        ("LAYERS = [build]", ": LAYERS must hold an attnbench.Layer, not function"),
        ("LAYER = Layer('rnn', build)", ": the name 'rnn' is taken (built in)"),
    ],
)
def test_a_broken_plugin_is_one_sentence_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "broken.py", f"{BEGINNING}    {text}\n")

    with pytest.raises(PluginError) as caught:
        Registry([str(path)])

    assert str(caught.value) == f"plugin {path}{message}"


def test_a_broken_plugin_leaves_no_half_of_itself_behind(tmp_path: Path) -> None:
    before = set(sys.modules)

    with pytest.raises(PluginError):
        Registry([str(write(tmp_path / "broken.py", "1 / 0\n"))])

    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            "'x', build, claims=Claims(flops='4*b*n**2*')",
            "the claim for flops: cannot read the formula '4*b*n**2*'; write it like 4*b*n**2*d",
        ),
        (
            "'x', build, claims=Claims(time='n*w')",
            "layer 'x': the claim for time uses 'w', which build() does not name",
        ),
        ("'x', build, claims={'time': 'n'}", "layer 'x': claims must be a Claims value, not dict"),
        (
            "'x', build, constraints='d % k == 0'",
            "layer 'x': the constraint 'd % k == 0' uses 'k', which build() does not name",
        ),
        ("'x', build, constraints='d // h'", "cannot read the constraint 'd // h'; write it like d % h == 0"),
        ("'', build", "a layer's name is one line of 1 to 80 printable characters, not ''"),
        ("'a\\nb', build", "a layer's name is one line of 1 to 80 printable characters, not 'a\\nb'"),
        ("'x', 'build'", "layer 'x': build must be a factory of modules, not str"),
        ("'x', build, scope='head'", "layer 'x': scope must be one of core, layer, block, not 'head'"),
        ("'x', build, modes=('infer',)", "layer 'x': unknown mode 'infer'; known: forward, train, decode"),
        ("'x', lambda d, k=0: d", "layer 'x': axis 'k' has the default 0, not a positive whole number"),
        ("'x', lambda d, k=True: d", "layer 'x': axis 'k' has the default True, not a positive whole number"),
        ("'x', lambda d, k=1.5: d", "layer 'x': axis 'k' has the default 1.5, not a positive whole number"),
        ("'x', lambda *sizes: 0", "layer 'x': a factory names its axes one by one, without *sizes"),
        ("'x', lambda **sizes: 0", "layer 'x': a factory names its axes one by one, without *sizes"),
        ("'x', build, inputs=lambda *a: 0", "layer 'x': a factory names its axes one by one, without *a"),
    ],
)
def test_a_layer_that_breaks_the_contract_is_found_when_it_is_registered(
    tmp_path: Path, layer: str, message: str
) -> None:
    path = write(tmp_path / "broken.py", f"{BEGINNING}    LAYER = Layer({layer})\n")

    with pytest.raises(PluginError) as caught:
        Registry([str(path)])

    assert str(caught.value) == f"plugin {path}, line 8: {message}"


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        ("nowhere/mine.py", "there is no such file"),
        ("no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("./mine.txt", "ImportError: mine.txt is not a Python file"),
        ("", "ValueError: Empty module name"),
    ],
)
def test_a_plugin_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: str, message: str
) -> None:
    write(tmp_path / "mine.txt", MINE)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(PluginError) as caught:
        Registry([plugin])

    assert str(caught.value) == f"plugin {plugin}: {message}"


def test_a_broken_module_names_the_file_of_the_line(tmp_path: Path) -> None:
    write(tmp_path / "ring_package" / "__init__.py", "from ring_package import inner\n")
    write(tmp_path / "ring_package" / "inner.py", "ring = 1\nring.attend()\n")
    sys.path.insert(0, str(tmp_path))

    with pytest.raises(PluginError) as caught:
        Registry(["ring_package"])

    assert str(caught.value) == (
        "plugin ring_package, inner.py, line 2: AttributeError: 'int' object has no attribute 'attend'"
    )


def test_a_name_that_another_plugin_took_is_an_error_that_names_both(tmp_path: Path) -> None:
    first, second = write(tmp_path / "first.py", MINE), write(tmp_path / "second.py", MINE)

    with pytest.raises(PluginError) as caught:
        Registry([str(first), str(second)])

    assert str(caught.value) == f"plugin {second}: the name 'mine' is taken ({first})"


def test_a_broken_installed_plugin_names_its_distribution_and_leaves_the_built_in_layers_alone(tmp_path: Path) -> None:
    write(tmp_path / "ring_broken.py", "first = 1\nimport no_such_thing\n")
    install(tmp_path, "mine = ring_broken\n")
    sys.path.insert(0, str(tmp_path))
    registry = Registry()

    with pytest.raises(LayerError) as caught:
        registry.get("mine")

    broken = "plugin ring-attention 1.2, ring_broken.py, line 2: ModuleNotFoundError: No module named 'no_such_thing'"
    assert str(caught.value) == f"unknown layer 'mine'. `attnbench list layers` shows all. Not loaded: {broken}"
    assert registry.broken == {"ring-attention 1.2": broken}
    assert registry.get("rnn").name == "rnn"
    assert set(registry.names) == set(BUILT_IN)


def test_an_installed_plugin_cannot_take_a_built_in_name(tmp_path: Path) -> None:
    write(tmp_path / "ring_rnn.py", MINE.replace('"mine"', '"rnn"'))
    install(tmp_path, "anything = ring_rnn\n")
    sys.path.insert(0, str(tmp_path))

    registry = Registry()

    assert registry.get("rnn").source.startswith("Elman")
    assert set(registry.names) == set(BUILT_IN)
    assert registry.broken == {"ring-attention 1.2": "plugin ring-attention 1.2: the name 'rnn' is taken (built in)"}
