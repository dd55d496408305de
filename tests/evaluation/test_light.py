"""Evaluation is imported without torch: only what reads or writes an adapter's tensors loads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import showonce.evaluation

MODULES = sorted(f"showonce.evaluation.{path.stem}" for path in Path(showonce.evaluation.__file__).parent.glob("*.py"))


def test_no_module_loads_torch_when_it_is_imported() -> None:
    names = [name for name in MODULES if not name.endswith("__init__")]
    assert "showonce.evaluation.prove" in names
    program = f"import sys, {', '.join(names)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
