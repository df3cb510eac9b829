"""Who may import whom: held in a fresh process, where a forbidden import cannot hide behind an earlier one."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "finetune"
MODULES = sorted(
    path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".") for path in PACKAGE.rglob("*.py")
)
# The only modules that may import torch, transformers or peft as they are loaded.
HEAVY = {
    "finetune.training.adapter",
    "finetune.training.layers",
    "finetune.training.step",
    "finetune.training.train",
    "finetune.training.batches",
    "finetune.training.looking",
    "finetune.training.sweep",
    "finetune.training.together",
    "finetune.training.watch",
    "finetune.model.attention",
    "finetune.model.split",
    "finetune.evidence.models.decoding",
    "finetune.evidence.models.likelihood",
    "finetune.evidence.models.pair",
}


def imported_after(code: str, names: set[str]) -> set[str]:
    script = f"{code}\nimport sys\nprint(' '.join(name for name in {sorted(names)!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=PACKAGE.parent
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_core_loads_without_gradio_or_torch():
    core = [
        name
        for name in MODULES
        if not name.startswith("finetune.ui") and name not in HEAVY and not name.endswith("__main__")
    ]
    code = "\n".join(f"import {name}" for name in core)
    assert imported_after(code, {"gradio", "torch", "transformers", "peft"}) == set()


def test_the_page_opens_without_torch():
    code = "import tempfile, finetune\nfinetune.studio(root=tempfile.mkdtemp())"
    assert imported_after(code, {"torch", "transformers", "peft", "bitsandbytes"}) == set()


def test_the_command_line_starts_without_torch_or_gradio():
    assert imported_after("import finetune.__main__", {"torch", "transformers", "gradio"}) == set()


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("finetune.ui")])
def test_the_core_never_imports_the_page(module: str):
    path = PACKAGE.parent / (module.replace(".", "/") + ".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {"finetune"} if module == "finetune.__init__" else set()  # `studio` is handed out lazily
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert not name.startswith("gradio")
            assert not name.startswith("finetune.ui") or top
