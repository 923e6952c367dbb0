"""FLOPs "as needed", beside FLOPs "as computed": multiply-adds that could make a difference to the output.

A multiply-add of a product of matrices or of a convolution is needed if both its factors can be other than zero and
the number it adds to can influence the output. Padding, masked scores and the product with an initial state of zeros
are computed and not needed: dense causal attention computes 4n²d and needs 2n(n+1)d.

The definition is applied as it stands. The layer is run forward and backward in float64 on random inputs and weights,
fused kernels off; a number "can be other than zero" if it is in one of the draws, and "can influence the output" if
its gradient is other than zero in one of them. The needed multiply-adds are then the same product taken of 0/1 masks.
A rectifier gives zeros as well, but other ones in every draw: where there may be one, draws go on until they have long
shown nothing new. Trainable weights vary between draws, buffers do not: they are part of the structure.

A complex number is one number here: its multiply-add counts whole, as 8 FLOPs, if any part of it is needed.

What the method cannot see is counted as computed: a number that no gradient reaches, because it was made without
gradients or only decides which other numbers are used (a sort, an argmax), and Fourier transforms, zeros or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attnbench.counting.calls import one_clear_line
from attnbench.counting.flex import flex_attention_as, written_out
from attnbench.counting.odd_tensors import refuse_odd_tensors
from attnbench.counting.operators import flops_of, has_formula, is_smooth, operator_of
from attnbench.counting.operators.contract.costs import multiply_add
from attnbench.counting.operators.contract.operator import Call, Effect, Factors, Operation
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import Inputs, apply, build_module, make_inputs, results_of
from attnbench.trial import Sizes

#: Smooth functions of random numbers are zero where they must be; a few draws, lest one of them underflows.
_SMOOTH_DRAWS = 3
#: A rectifier's number is zero in all of this many draws once in 2²⁴ times.
_FEWEST_DRAWS = 24
#: Draws in all, for each draw up to the last that showed something new: rare events are waited for in proportion.
_PATIENCE = 4
_SEED = 0


def effective_flops(layer: Layer, sizes: Sizes) -> float:
    """FLOPs of one call whose result could make a difference; run on real tensors, so choose small sizes.

    Raises:
        LayerError: as for `effective_parts`.
    """
    return sum(effective_parts(layer, sizes))


def effective_parts(layer: Layer, sizes: Sizes) -> tuple[float, ...]:
    """The same for each product by itself, in the order in which they are computed; Fourier transforms come last.

    Raises:
        LayerError: the layer cannot be built or called in float64, does other work on other inputs, gives numbers
            that are not finite, or contains work that cannot be looked into.
    """
    with torch.random.fork_rng(devices=()), _double_precision(), one_clear_line(layer, sizes, "float64"):
        torch.manual_seed(_SEED)
        module = build_module(layer, sizes, dtype="float64")
        refuse_odd_tensors(module)
        return _Draws(layer, module, lambda: make_inputs(layer, sizes, dtype="float64")).needed()


@dataclass(slots=True)
class _Product:
    """One product, with masks of what was other than zero in some draw; `influence` is None before any gradient.

    `each` is what one of its multiply-adds costs.
    """

    each: int
    multiply: Callable[[Tensor, Tensor], Tensor]
    factors: tuple[Tensor, Tensor]
    influence: Tensor | None = None

    @property
    def shapes(self) -> tuple[torch.Size, ...]:
        return tuple(factor.shape for factor in self.factors)

    def needed(self) -> int:
        """FLOPs of multiply-adds with two factors and an influence."""
        terms = self.multiply(*(factor.double() for factor in self.factors))
        return self.each * int((terms if self.influence is None else terms * self.influence).sum())

    @property
    def is_full(self) -> bool:
        """Whether no draw can show more."""
        return self.influence is not None and all(bool(mask.all()) for mask in (*self.factors, self.influence))

    def add(self, draw: _Product) -> bool:
        """Join the masks of another draw; whether they showed anything new."""
        before = self._found()
        self.factors = (self.factors[0] | draw.factors[0], self.factors[1] | draw.factors[1])
        if draw.influence is not None:
            self.influence = draw.influence if self.influence is None else self.influence | draw.influence
        return self._found() != before

    def _found(self) -> tuple[int, ...]:
        masks = (*self.factors, self.influence)
        return tuple(-1 if mask is None else int(mask.sum()) for mask in masks)


def _join(products: list[_Product], others: list[_Product]) -> bool:
    """Add the masks of another draw; whether they showed anything new."""
    if [one.shapes for one in others] != [one.shapes for one in products]:
        raise LayerError("does other work on other inputs; what is needed of it has no single answer")
    return any([one.add(other) for one, other in zip(products, others, strict=True)])  # noqa: C419  all are added


class _Draws:
    """Runs of one module on random inputs and weights."""

    def __init__(self, layer: Layer, module: nn.Module, make: Callable[[], Inputs]) -> None:
        self._layer, self._module, self._make = layer, module, make
        self._start = {weight: weight.detach().clone() for weight in module.parameters() if weight.requires_grad}

    def needed(self) -> tuple[float, ...]:
        """FLOPs that are needed of each product, once draws show nothing new any more."""
        first = self._draw()
        enough = _SMOOTH_DRAWS if first.is_smooth else _FEWEST_DRAWS
        drawn = 1
        while drawn < enough and not all(product.is_full for product in first.products):
            drawn += 1
            if _join(first.products, self._draw().products):
                enough = max(_FEWEST_DRAWS, _PATIENCE * drawn)
        return (*(product.needed() for product in first.products), first.transforms)

    def _draw(self) -> _Observer:
        self._vary()
        inputs = self._make()
        leaves = [one.requires_grad_() for one in tree_leaves(inputs) if _has_gradient(one)]
        observer = _Observer()
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), flex_attention_as(written_out), observer:
            returned = apply(self._module, inputs)
        observer.listen()
        results = results_of(self._layer, returned)
        directions = [torch.randn_like(result) for result in results]
        if results:
            with _FormalSoftmax():  # type: ignore[no-untyped-call]
                torch.autograd.grad(results, [*leaves, *self._start], directions, allow_unused=True)
        return observer

    @torch.no_grad()
    def _vary(self) -> None:
        """Weights near those the layer starts with, so that they stay in their domain and none is zero."""
        for weight, start in self._start.items():
            spread = float(start.abs().mean()) or 0.1
            weight.copy_(start + spread * torch.randn_like(start))


def _has_gradient(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


class _Observer(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Writes down every product, and listens for the gradient of its result."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[_Product] = []
        self.transforms: float = 0
        self.is_smooth = True
        self._latest: tuple[_Product, Tensor] | None = None

    def __torch_dispatch__(
        self, operation: Operation, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.listen()
        kwargs = kwargs or {}
        output = operation(*args, **kwargs)
        call = Call(operation, args, kwargs, output)
        effective = operator_of(operation).effective
        if isinstance(effective, Factors):
            product = _seen(call, effective)
            self.products.append(product)
            self._latest = product, output
        elif effective is Effect.ALL_NEEDED:
            self.transforms += flops_of(call) or 0
        elif not _is_smooth(call):
            self.is_smooth = False
            if not has_formula(operation) or flops_of(call):
                raise LayerError(
                    f"contains {operation}, which cannot be looked into; what is needed of it is not known"
                )
        return output

    def listen(self) -> None:
        """Autograd learns of a result after it was returned; ask for its gradient before anything changes it."""
        if self._latest is None:
            return
        (product, output), self._latest = self._latest, None
        if output.requires_grad:
            output.register_hook(lambda gradient: _influence(product, gradient))  # type: ignore[no-untyped-call]


def _is_smooth(call: Call) -> bool:
    """Whether an operation gives zeros only where the structure has them; what works on integers is structure."""
    return is_smooth(call.operation) or not any(_has_gradient(value) for value in tree_leaves((call.args, call.kwargs)))


def _seen(call: Call, factors: Factors) -> _Product:
    first, second = call.args[factors.first], call.args[factors.second]
    return _Product(multiply_add(first, second), factors.multiply(call), (_mask(first), _mask(second)))


def _influence(product: _Product, gradient: Tensor) -> None:
    product.influence = _mask(gradient)


def _mask(values: Tensor) -> Tensor:
    if not values.isfinite().all():
        raise LayerError("gives numbers that are not finite; what is needed of it cannot be told")
    return values != 0


class _FormalSoftmax(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Lets every score with a weight count as an influence on its row.

    Weights sum to one, so a row with a single score has a weight of 1 whatever that score is, and a derivative of zero;
    the first row of causal attention would then need no score, and every law would have an exception at the edge.
    """

    def __torch_dispatch__(
        self, operation: Operation, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if operation.overloadpacket is not torch.ops.aten._softmax_backward_data:
            return operation(*args, **(kwargs or {}))
        gradient, weights, dimension = args[:3]
        return weights * gradient.abs().sum(dimension, keepdim=True)


@contextmanager
def _double_precision() -> Iterator[None]:
    """What a layer makes on its way is as precise as its inputs."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
