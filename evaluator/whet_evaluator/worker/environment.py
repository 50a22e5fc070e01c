"""Which environment variables reach code we did not write: an allow-list, never a key.

Pure. The host uses it to start a local worker, the worker to start zygotes, so that a
key is neither in the candidate's environment nor in that of any process it could read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAMES = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "CC",
    "CXX", "CPATH", "LIBRARY_PATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "VIRTUAL_ENV",
    "MODULEPATH", "LOADEDMODULES", "MAX_JOBS", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
})  # fmt: skip
_PREFIXES = (
    "LC_", "LD_", "PYTHON", "CONDA_", "CUDA_", "NVIDIA_", "NCCL_", "ROCM_", "HIP_", "HSA_",
    "ROCR_", "RCCL_", "AMD_", "GPU_", "TRITON_", "TORCH", "PYTORCH_", "OMP_", "MKL_", "KMP_",
    "OPENBLAS_", "PYTEST_", "SLURM_", "LMOD_", "MIOPEN_", "LLVM_",
)  # fmt: skip
_OUTER = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_", "PYTEST_VERSION")
"""Set by a pytest that Whet itself was started from: they would tell a candidate that it is
under test where it is not."""
_SECRET = re.compile(
    r"API_?KEY|_KEY$|^KEY$|_KEY_|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH(?!OR)|COOKIE|PRIVATE"
)


def allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of `environ` that user code may see."""
    return {
        name: value
        for name, value in environ.items()
        if (name in _NAMES or name.startswith(_PREFIXES))
        and not (is_secret(name) or name.startswith(_OUTER))
    }


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """All of `environ` but what looks like a key: for ssh and other clients of the user's,
    which need variables that nobody can list beforehand (`SSH_AUTH_SOCK` among them)."""
    return {k: v for k, v in environ.items() if k == "SSH_AUTH_SOCK" or not is_secret(k)}


def is_secret(name: str) -> bool:
    """Whether a variable of this name may hold a key, judged by the name alone."""
    return _SECRET.search(name.upper()) is not None
