"""What is written is true: docstring examples run, every verb has help with an example and stands in the docs."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import click
import pytest
import typer.main

from serving.cli import app

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ROOT / "docs" / "commands.md"


def modules_with_examples() -> list[str]:
    """Our modules whose text holds a docstring example, without importing the others."""
    names = []
    for floor in ("features", "training", "serving"):
        for path in sorted((ROOT / floor).rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                names.append(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    return names


def verbs() -> dict[str, click.Command]:
    """Every verb by its full name, e.g. `import events`."""
    found: dict[str, click.Command] = {}

    def walk(command: click.Command, name: str) -> None:
        children = getattr(command, "commands", None)
        if not children:
            found[name] = command
        for child, below in (children or {}).items():
            walk(below, f"{name} {child}".strip())

    walk(typer.main.get_command(app), "")
    return found


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstring_examples_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_verb_has_help_with_an_example(verb):
    text = verbs()[verb].help or ""
    assert "Example" in text, f"attune {verb}: the help has no example"
    assert f"attune {verb.split()[0]}" in text, f"attune {verb}: the example does not call the verb"


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_verb_stands_in_the_docs(verb):
    assert f"`attune {verb}" in COMMANDS.read_text(encoding="utf-8"), f"docs/commands.md lacks `attune {verb}`"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # BentoML's own, at import
def test_every_package_of_the_house_can_be_imported():
    for floor in ("features", "training", "serving"):
        package = importlib.import_module(floor)
        for module in pkgutil.walk_packages(package.__path__, f"{floor}."):
            if module.name not in ("features.migrations.env", "training.pyfunc"):  # Alembic and MLflow run these
                importlib.import_module(module.name)


def test_the_docs_name_no_file_that_is_not_there():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links {target}, which is not there"
