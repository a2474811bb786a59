"""Places: on which line of a file a text stands, so that what is wrong with it can be found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

BLOCK = ("|", ">")  # a text of this style begins on the line after its key


def line_of(path: Path, keys: Sequence[str | int]) -> int:
    """The line on which the text under these keys begins; where it cannot be told, that of what is around it."""
    node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    assert node is not None  # noqa: S101  # there are keys in it; this tells the type checker
    for key in keys:
        node = _under(node, key)
    style = node.style if isinstance(node, yaml.ScalarNode) else None
    return int(node.start_mark.line) + 1 + (style in BLOCK)


def _under(node: yaml.Node, key: str | int) -> yaml.Node:
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int):
        inner: yaml.Node = node.value[key]
        return inner
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), node)
