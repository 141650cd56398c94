"""Capabilities of this CPU: vector instructions, bf16 products and a bf16 LSTM."""

import os
import platform
from functools import cache

import torch
from torch import nn

INSTRUCTION_SETS_WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of oneDNN's instruction set limit that exclude bf16 products."""


def instruction_set() -> str:
    """The vector instructions that torch uses here: ``AVX512``, ``AVX2``, ``DEFAULT`` and the like."""
    return torch.backends.cpu.get_cpu_capability()


def bf16_products() -> bool:
    """Whether bf16 products are faster than fp32 products here, which needs CPU instructions for them.

    Without such instructions oneDNN computes bf16 products number by number: 60 to 200 times slower than in fp32,
    measured on Zen 3.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    if limit in INSTRUCTION_SETS_WITHOUT_BF16:
        return False
    if platform.machine().lower() in ("arm64", "aarch64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())  # CPUs with AMX have it too


@cache
def bf16_lstm() -> bool:
    """Whether torch can train an LSTM in bf16 on this CPU; oneDNN supports it on some instruction sets only."""
    if not bf16_products():
        return False
    layer = nn.LSTM(16, 16, batch_first=True)
    try:
        with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            layer(torch.zeros(1, 2, 16))[0].float().sum().backward()
    except RuntimeError:
        return False
    return True
