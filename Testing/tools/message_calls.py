"""Check messages in tests; find where the code uses the catalogue of messages, and where it shows other texts."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cspadn import errors
from cspadn.errors import FusionError
from cspadn.messages import message

ROOT = Path(__file__).resolve().parents[2]
_CALLED = "message"  # the catalogue, in each file that uses it
_ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.FusionError)}


class Call(NamedTuple):
    """A call of the catalogue.

    Attributes:
        place: ``file:line``.
        identifier: None if it is not a literal text.
        fields: names of the values; None stands for ``**values``, which cannot be checked.
    """

    place: str
    identifier: str | None
    fields: frozenset[str | None]


def says(text: str, identifier: str, **fields: Any) -> bool:
    """Return whether a text contains a message of the catalogue; fields that are not given may have any value."""
    return re.search(_pattern(message[identifier].text, fields), text) is not None


@contextmanager
def raises(kind: type[FusionError], identifier: str, **fields: Any) -> Iterator[pytest.ExceptionInfo[FusionError]]:
    """Expect an error of a kind, with a message of the catalogue; ``fields`` are values that the message must contain."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.identifier == identifier, str(caught.value)
    found = caught.value.fields
    assert {name: found.get(name) for name in fields} == fields
    assert "\n" not in str(caught.value)


def identifiers(warnings: Iterable[str]) -> list[str]:
    """Return the identifiers of warnings; empty for a text outside the catalogue."""
    return [getattr(warning, "identifier", "") for warning in warnings]


def _pattern(text: str, fields: dict[str, Any]) -> str:
    parts = []
    for literal, name, specification, _ in string.Formatter().parse(text):
        parts.append(re.escape(literal))
        if name is not None:
            value = re.escape(format(fields.pop(name), specification or "")) if name in fields else ".+?"
            parts.append(value)
    if fields:
        raise ValueError(f"The message '{text}' has no fields {sorted(fields)}.")
    return "".join(parts)


def calls(folder: Path) -> Iterator[Call]:
    """Yield each call of ``message(...)`` below a folder."""
    for place, node in _nodes(folder):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == _CALLED:
            first = node.args[0] if len(node.args) == 1 else None
            identifier = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
            yield Call(place, identifier, frozenset(keyword.arg for keyword in node.keywords))


def texts_outside(folder: Path) -> Iterator[str]:
    """Yield the place of each error of :mod:`cspadn.errors` that is made from a literal text."""
    for place, node in _nodes(folder):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ERRORS
        if named and any(_is_text(argument) for argument in node.args):
            yield place


def _is_text(node: ast.expr) -> bool:
    """Whether an expression makes a text from literals, also with ``+``, ``%`` or ``str.format``."""
    return any(
        isinstance(each, ast.JoinedStr) or (isinstance(each, ast.Constant) and isinstance(each.value, str))
        for each in _parts(node)
    )


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp(left=left, right=right) | ast.IfExp(body=left, orelse=right):
            yield from (*_parts(left), *_parts(right))
        case ast.Call(func=ast.Attribute(value=value)):
            yield from _parts(value)
        case ast.Call(func=ast.Name(id="_"), args=[value, *_]):
            yield from _parts(value)
        case _:
            yield node


def _nodes(folder: Path) -> Iterator[tuple[str, ast.AST]]:
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            yield f"{file.relative_to(folder)}:{getattr(node, 'lineno', 0)}", node
