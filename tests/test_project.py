"""README, pins and CI say the same thing."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def pins(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    found = (re.match(r"([A-Za-z0-9_-]+)(.*)", line) for line in lines if line and not line.startswith("#"))
    return {match[1]: match[2] for match in found}


def test_the_space_installs_the_gradio_that_is_pinned():
    front = README.split("---")[1]
    version = re.search(r"^sdk_version: (\S+)$", front, re.MULTILINE)[1]
    assert pins("requirements.txt")["gradio"] == f"=={version}"
    assert (ROOT / re.search(r"^app_file: (\S+)$", front, re.MULTILINE)[1]).is_file()


def test_what_is_pinned_is_what_is_tested():
    from importlib.metadata import version

    from packaging.specifiers import SpecifierSet

    for name, specifier in (pins("requirements.txt") | pins("tests/requirements.txt")).items():
        assert SpecifierSet(specifier).contains(version(name), prereleases=True), name


def test_ci_calls_the_test_command_of_the_readme():
    command = (ROOT / ".ci" / "run").read_text(encoding="utf-8").strip().splitlines()[-1]
    assert f"```bash\n{command}\n```" in README


def test_the_file_tree_of_the_readme_is_that_of_the_package():
    tree = README.split("## The files")[1]
    for path in (ROOT / "finetune").rglob("*.py"):
        if path.name != "__init__.py" or path.parent.name == "finetune":
            assert path.name in tree, path
    there = {path.name for folder in ("finetune", "tests") for path in (ROOT / folder).rglob("*.py")} | {"app.py"}
    assert set(re.findall(r"\b[a-z_]+\.py\b", tree)) <= there


def test_pictures_and_links_of_the_readme_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
