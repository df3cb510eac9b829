"""The options of app.py, and what the page may not load before it is asked for something."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import app
from finetune.errors import FinetuneError

HERE = Path(__file__).resolve().parents[1]


def test_share_without_auth_is_refused(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINETUNE_AUTH", raising=False)
    with pytest.raises(SystemExit) as refused:
        app.parse(["--share"])
    assert refused.value.code == 2
    assert "anybody on the internet" in capsys.readouterr().err


def test_a_notebook_cannot_share_without_auth_either(tmp_path: Path) -> None:
    from finetune.ui.page import studio

    with pytest.raises(FinetuneError, match="anybody on the internet"):
        studio(root=tmp_path).launch(share=True)


def test_auth_comes_from_the_option_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINETUNE_AUTH", raising=False)
    assert app.parse(["--share", "--auth", "ada:pass:word"]).auth == ("ada", "pass:word")
    monkeypatch.setenv("FINETUNE_AUTH", "ada:secret")
    assert app.parse(["--share"]).auth == ("ada", "secret")


@pytest.mark.parametrize("wrong", [["--auth", "ada"], ["--auth", ":x"], ["--port", "0"], ["--port", "http"]])
def test_a_wrong_option_is_a_sentence(wrong: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as refused:
        app.parse(wrong)
    assert refused.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_no_arguments_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINETUNE_AUTH", raising=False)
    options = app.parse([])
    assert (options.host, options.port, options.share, options.auth) == (None, None, False, None)


def test_the_page_is_made_without_the_heavy_libraries() -> None:
    code = (
        "import sys; from finetune.ui.page import studio; studio();"
        "print([name for name in ('torch', 'transformers', 'peft', 'bitsandbytes', 'sklearn') if name in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"


def test_the_address_is_printed_and_the_page_is_served(tmp_path: Path) -> None:
    began = time.monotonic()
    server = subprocess.Popen(
        [sys.executable, "app.py", "--root", str(tmp_path)],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        for line in server.stdout:
            if re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            pytest.fail("app.py ended without an address")
        # On shared cores; alone it is a few seconds, most of them the import of gradio.
        assert time.monotonic() - began < 60
    finally:
        server.terminate()
        server.wait(20)


def test_on_zerogpu_training_is_not_offered_and_the_space_can_be_duplicated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetune.ui.page import studio

    def ids() -> set[str]:
        return {block.elem_id for block in studio(root=tmp_path).blocks.values() if block.elem_id}

    assert not {"duplicate", "no-training"} & ids()
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert {"duplicate", "no-training"} <= ids()
