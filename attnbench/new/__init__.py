"""A new layer or a new package of layers, written where the user stands: complete, and green as it is."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from string import Template

from attnbench.errors import InputError
from attnbench.layers.registry import BUILT_IN

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LONGEST = 60
_UNTOUCHED = "nothing was written. Take another name, or another folder"
_TEMPLATES = Path(__file__).parent


def new_layer(name: str, folder: Path) -> Path:
    """Write ``name.py`` in `folder`, with underscores for hyphens; the file.

    Raises:
        InputError: the name will not do, the file is there already, or it cannot be written.
    """
    file = folder / f"{_module(name)}.py"
    return _write(name, {file: "layer.py"})[0]


def new_package(name: str, folder: Path) -> Path:
    """Write the folder `name` in `folder`: an installable package with one layer and its test; the folder.

    Raises:
        InputError: the name will not do, the folder is there already, or it cannot be written.
    """
    root, module = folder / name, _module(name)
    if root.exists():
        raise InputError(f"{root.name} is there already; {_UNTOUCHED}")
    files = {
        root / "pyproject.toml": "pyproject.toml",
        root / "README.md": "readme.md",
        root / "src" / module / "__init__.py": "",
        root / "src" / module / "layer.py": "layer.py",
        root / "tests" / f"test_{module}.py": "test.py",
    }
    _write(name, files)
    return root


def _module(name: str) -> str:
    """The name of the module for a layer called `name`.

    Raises:
        InputError: it cannot have that name.
    """
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise InputError(
            f"{name!r} is no name for a new layer: small letters, digits and hyphens, such as my-layer, "
            f"of {_LONGEST} characters at most"
        )
    if name in BUILT_IN:
        raise InputError(f"{name!r} is a layer of attnbench; take another name, such as my-{name}")
    if keyword.iskeyword(module) or not _is_free(module):
        raise InputError(f"{name!r} is a name of Python's or of an installed package; take another, such as my-{name}")
    return module


def _is_free(module: str) -> bool:
    """Whether no installed module has that name; one in the current folder is the file that is asked for."""
    found = find_spec(module)
    return found is None or found.origin is None or Path(found.origin).parent == Path.cwd()


def _write(name: str, files: Mapping[Path, str]) -> list[Path]:
    words = {"name": name, "module": name.replace("-", "_"), "class_name": _class_name(name)}
    for file, template in files.items():
        text = (_TEMPLATES / f"{template}.template").read_text(encoding="utf-8") if template else ""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as stream:
                stream.write(Template(text).substitute(words) if template else '"""Layers for attnbench."""\n')
        except FileExistsError:
            raise InputError(f"{file.name} is there already; {_UNTOUCHED}") from None
        except OSError as error:
            raise InputError(f"{file} cannot be written: {error.strerror}") from error
    return list(files)


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in re.split("[-_]", name))
