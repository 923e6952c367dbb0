"""What a call runs, by name: what torch dispatched, and what oneDNN chose inside of it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from attnbench.layers.backends import attention_backend
from attnbench.measure.kernels import device_kernels, implementations, kernels_of, uses_fused_attention

SQUARE = torch.ones(8, 8)


def moves() -> torch.Tensor:
    return SQUARE.view(64).reshape(4, 16).t().contiguous().clone().unsqueeze_(0).detach()


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: (SQUARE @ SQUARE).tanh() @ SQUARE, ("aten::mm", "aten::tanh")),
        (lambda: nn.functional.softmax(torch.zeros(2, 2), -1), ("aten::_softmax",)),
        (moves, ()),
    ],
    ids=["each once, in order", "the operation that works, and none that calls it", "views and copies"],
)
def test_what_did_work_is_named(call: Callable[[], Any], names: tuple[str, ...]) -> None:
    assert kernels_of(call, "cpu") == names


def test_the_backward_pass_is_seen_too() -> None:
    weight = torch.ones(8, 8, requires_grad=True)

    assert "aten::sigmoid_backward" in kernels_of(lambda: torch.autograd.grad((weight.sigmoid()).sum(), weight), "cpu")


@pytest.mark.parametrize(
    ("backend", "name", "others"),
    [
        ("flash", "aten::_scaled_dot_product_flash_attention_for_cpu", set()),
        ("math", "aten::_scaled_dot_product_attention_math", {"aten::bmm", "aten::_softmax"}),
    ],
)
def test_the_backend_of_attention_is_named(backend: str, name: str, others: set[str]) -> None:
    words = torch.ones(1, 1, 8, 8)
    with attention_backend(backend), torch.inference_mode():
        names = kernels_of(lambda: scaled_dot_product_attention(words, words, words), "cpu")

    assert {name} | others <= set(names)
    assert bool(others) == ("aten::bmm" in names)
    assert uses_fused_attention(names)
    assert not uses_fused_attention(kernels_of(lambda: SQUARE @ SQUARE, "cpu"))


def test_what_onednn_chose_is_named_and_its_log_is_kept_from_standard_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    convolution, words = nn.Conv1d(64, 64, 3), torch.ones(4, 64, 256)
    with torch.inference_mode():
        names = kernels_of(lambda: convolution(words), "cpu")
        convolution(words)

    assert "aten::mkldnn_convolution" in names
    assert any(name.startswith("onednn::convolution/") for name in names)
    assert "onednn_verbose" not in capfd.readouterr().out


LINE = "onednn_verbose,v1,primitive,exec,cpu,convolution,jit_dw:avx512_core,forward_training,src:f32 wei:f32,,,g256,0.6"
OLDER = "onednn_verbose,exec,cpu,rnn,brgemm:avx2,forward_inference,src:f32,,,l1t64,0.1"
REORDER = "onednn_verbose,v1,primitive,exec,cpu,reorder,jit:blk,undef,src:f32,,,2x256,0.5"
INFO = "onednn_verbose,v1,info,cpu,isa:Intel AVX-512"


def test_the_log_of_onednn_is_read_in_its_older_form_too() -> None:
    lines = [INFO, LINE, REORDER, "a layer says onednn_verbose,exec", "onednn_verbose,exec,cpu,rnn", OLDER]

    assert list(implementations(lines)) == ["convolution/jit_dw:avx512_core", "rnn/brgemm:avx2"]


def test_kernels_of_a_gpu_are_named_without_the_arguments_of_their_templates() -> None:
    def event(device: str, name: str) -> SimpleNamespace:
        return SimpleNamespace(device_type=lambda: SimpleNamespace(name=device), name=lambda: name)

    events = [
        event("CPU", "aten::mm"),
        event("CUDA", "ampere_sgemm_128x64_tn"),
        event("CUDA", "Memcpy HtoD (Pinned -> Device)"),
        event("CUDA", "void at::native::vectorized_elementwise_kernel<4, at::native::tanh>(int, char*)"),
    ]

    assert list(device_kernels(events)) == [
        "device::ampere_sgemm_128x64_tn",
        "device::at::native::vectorized_elementwise_kernel",
    ]
