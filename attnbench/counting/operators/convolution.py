"""Convolutions, and the rearrangement of windows into columns that replaces them.

FLOPs: each output number meets in/groups × kernel weights, padding taps included, as executed; the backward costs as
much again for the gradient of the input and for that of the weight. Of complex numbers torch makes three convolutions
of real ones, and sums: they are counted as what they are, 6 instead of 8 for each multiply-add. Element-wise: the bias,
1 per number. Depth: a product whose inner length is k·channels/groups; the gradients of a backward stand side by side.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from attnbench.counting.operators.contract.costs import each_taken, multiply_add, numbers, tree
from attnbench.counting.operators.contract.operator import Call, Factors, Operator, costless, nothing
from attnbench.counting.operators.contract.rules import moved, tried
from attnbench.counting.operators.matmul import product_depth


def _flops(call: Call) -> int:
    values, weight = call.args[:2]
    transposed = call.argument(6, "transposed", False)
    return _work(weight, values if transposed else call.output)


def _work(weight: Tensor, spread: Tensor) -> int:
    """Of an output, or of the input of a transposed convolution, that spreads over the weights."""
    return multiply_add(weight, spread) * int(spread.numel()) * int(weight.numel() // weight.shape[0])


def _multiply(call: Call) -> Callable[[Tensor, Tensor], Tensor]:
    operation, rest = call.operation, call.args[3:]

    def convolve(values: Tensor, weight: Tensor) -> Tensor:
        result: Tensor = operation(values, weight, None, *rest)
        return result

    return convolve


def _bias(call: Call) -> int:
    """``convolution(input, weight, bias, …)``."""
    return 0 if call.args[2] is None else numbers(call.output)


def _depth(call: Call) -> float:
    """``convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)``."""
    return product_depth(_taps(call.args[1], call.args[6], call.args[8]), bias=call.args[2] is not None)


def _taps(weight: Tensor, transposed: bool, groups: int) -> float:
    """Numbers that meet in one output of a convolution, whose transpose holds its weights the other way round."""
    return float(weight.numel() / (weight.shape[1] * groups if transposed else weight.shape[0]))


def _flops_backward(call: Call) -> int:
    """``convolution_backward(grad, input, weight, …, transposed at 7, …, groups, output_mask at 10)``."""
    gradient, values, weight = call.args[:3]
    wanted = sum(1 for one in call.args[10][:2] if one)
    return wanted * _work(weight, values if call.args[7] else gradient)


def _bias_backward(call: Call) -> int:
    """The gradient of the bias is a sum."""
    return numbers(call.args[0]) if call.args[10][2] else 0


def _depth_backward(call: Call) -> float:
    gradient, weight = call.args[0], call.args[2]
    seen = gradient.numel() / gradient.shape[1]
    of_input = product_depth(_taps(weight, not call.args[7], call.args[9]))
    depths = (of_input, product_depth(seen), tree(seen))
    return max((depth for depth, wanted in zip(depths, call.args[10], strict=True) if wanted), default=0.0)


OPERATORS = (
    Operator("convolution _convolution", _flops, _bias, _depth, Factors(0, 1, _multiply), tried),
    Operator("convolution_backward", _flops_backward, _bias_backward, _depth_backward),
    costless("im2col", dependencies=moved),
    Operator("col2im", nothing, each_taken(), dependencies=tried),
)
