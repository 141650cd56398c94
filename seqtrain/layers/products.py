"""Matrix products at the speed of the machine.

On CPU torch hands products of fp32 matrices to MKL, which reaches less than half of what oneDNN does on processors that
are not Intel's (190 against 440 GFLOP/s on two AVX-512 cores of an EPYC). torch's own compiler calls oneDNN by the
operator used here; where a build of torch lacks it, the plain product serves.
"""

import torch
from torch import Tensor


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Product of matrices (N, K) and (K, M) of one type; has no gradient of its own on CPU in fp32."""
    if a.device.type == "cpu" and a.dtype is torch.float32 and HAS_ONEDNN:
        return torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")
    return a @ b


def has_onednn() -> bool:
    """Whether oneDNN's product is there and can be called."""
    try:
        torch.ops.mkldnn._linear_pointwise(torch.ones(1, 1), torch.ones(1, 1), None, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


HAS_ONEDNN = has_onednn()
