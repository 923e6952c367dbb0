"""Every built-in layer once more, in NumPy and SciPy, written from its definition: one sequence at a time, by loops.

An oracle takes one sequence ``(n, d)``, or one item of each of the layer's own inputs; then the module's weights by
name, and the layer's own axes by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.oracles import attention, gates, mixing, position, table1

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

#: The oracle of each built-in layer.
ORACLES: dict[str, Callable[..., np.ndarray | tuple[np.ndarray, ...]]] = {
    **table1.ORACLES,
    **attention.ORACLES,
    **position.ORACLES,
    **mixing.ORACLES,
    **gates.ORACLES,
}
