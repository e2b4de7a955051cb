"""Check messages in tests; find where the code uses the catalogue of messages, and where it shows other texts."""

from __future__ import annotations

import ast
import functools
import re
import string
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from cspadn import errors
from cspadn.errors import FusionError
from cspadn.messages import Message
from cspadn.messages import message as library_message


@contextmanager
def _untranslated() -> Iterator[None]:
    """Offer a slicer.i18n that returns each text as it is, unless there is one already; Slicer itself is not imported."""
    if "slicer.i18n" in sys.modules:
        yield
        return
    before = sys.modules.get("slicer")
    sys.modules["slicer"], sys.modules["slicer.i18n"] = before or ModuleType("slicer"), ModuleType("slicer.i18n")
    sys.modules["slicer.i18n"].tr = str
    try:
        yield
    finally:
        del sys.modules["slicer"], sys.modules["slicer.i18n"]
        if before:
            sys.modules["slicer"] = before


with _untranslated():
    from CSpADNFusionLib.messages import message as slicer_message

ROOT = Path(__file__).resolve().parents[2]
CATALOGUES = {"CSpADNFusionLib.messages": slicer_message, "cspadn.messages": library_message}  # by their modules
MESSAGES = {each.identifier: each for catalogue in CATALOGUES.values() for each in catalogue}
_CALLED = "message"  # the catalogue, in each file that uses it
_ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.FusionError)}


class Call(NamedTuple):
    """A call of the catalogue.

    Attributes:
        place: ``file:line``.
        catalogue: the module from which the file imports it.
        identifier: None if it is not a literal text.
        fields: names of the values; None stands for ``**values``, which cannot be checked.
    """

    place: str
    catalogue: str | None
    identifier: str | None
    fields: frozenset[str | None]


def says(text: str, identifier: str, /, **fields: Any) -> bool:
    """Return whether a text contains a message of the catalogue; fields that are not given may have any value."""
    return re.search(_pattern(MESSAGES[identifier].text, fields), text) is not None


@contextmanager
def raises(kind: type[FusionError], identifier: str, /, **fields: Any) -> Iterator[pytest.ExceptionInfo[FusionError]]:
    """Expect an error of a kind, with a message of the catalogue; ``fields`` are values that the message must contain."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.identifier == identifier, str(caught.value)
    found = caught.value.fields
    assert {name: _plain(found.get(name)) for name in fields} == {name: _plain(value) for name, value in fields.items()}
    assert "\n" not in str(caught.value)


def _plain(value: object) -> object:
    """Return paths as text, as which some libraries give them."""
    return str(value) if isinstance(value, Path) else value


def identifiers(warnings: Iterable[str]) -> list[str]:
    """Return the identifiers of warnings; empty for a text outside the catalogue."""
    return [getattr(warning, "identifier", "") for warning in warnings]


def _pattern(text: str, fields: dict[str, Any]) -> str:
    parts = []
    for literal, name, specification, _ in string.Formatter().parse(text):
        parts.append(re.escape(literal))
        if name is not None:
            value = re.escape(format(fields.pop(name), specification or "")) if name in fields else ".*?"
            parts.append(re.sub("^The", "[Tt]he", value) if name == "volume" else value)
    if fields:
        raise ValueError(f"The message '{text}' has no fields {sorted(fields)}.")
    return "".join(parts)


def calls(folder: Path) -> Iterator[Call]:
    """Yield each call of ``message(...)`` below a folder."""
    for file, catalogue, nodes in _files(folder):
        for name, node in nodes:
            if name == _CALLED:
                first = node.args[0] if len(node.args) == 1 else None
                identifier = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
                fields = frozenset(keyword.arg for keyword in node.keywords)
                yield Call(f"{file}:{node.lineno}", catalogue, identifier, fields)


def wrong(call: Call) -> bool:
    """Return whether a call names no message of its catalogue, or other fields than those of the message."""
    known: dict[str | None, Message] = {each.identifier: each for each in CATALOGUES.get(str(call.catalogue), ())}
    return call.identifier not in known or call.fields != known[call.identifier].fields


def texts_outside(folder: Path) -> Iterator[str]:
    """Yield the places where an error of :mod:`cspadn.errors`, or a translated sentence, is made from a literal text."""
    for file, _, nodes in _files(folder):
        yield from (f"{file}:{node.lineno}" for name, node in nodes if _is_outside(name, node))


def _is_outside(name: str, call: ast.Call) -> bool:
    if name in _ERRORS:
        return any(_is_text(argument) for argument in call.args)
    text = call.args[0].value if name == "_" and call.args and isinstance(call.args[0], ast.Constant) else ""
    return isinstance(text, str) and len(text.split()) > 3 and (text.endswith((".", "?")) or ": " in text)


def _is_text(node: ast.expr) -> bool:
    """Return whether an expression makes a text from literals, also with ``+``, ``%`` or ``str.format``."""
    match node:
        case ast.JoinedStr() | ast.Constant(value=str()):
            return True
        case ast.BinOp(left=left, right=right) | ast.IfExp(body=left, orelse=right):
            return _is_text(left) or _is_text(right)
        case ast.Call(func=ast.Attribute(value=value)) | ast.Call(func=ast.Name(id="_"), args=[value, *_]):
            return _is_text(value)
    return False


def _files(folder: Path) -> Iterator[tuple[Path, str | None, list[tuple[str, ast.Call]]]]:
    """Yield each Python file below a folder except the catalogues, the catalogue it imports, and its calls by name."""
    for file in sorted(folder.rglob("*.py")):
        if file.parent.name != "messages":
            yield file.relative_to(folder), *_contents(file)


@functools.cache
def _contents(file: Path) -> tuple[str | None, list[tuple[str, ast.Call]]]:
    """Return the module from which a file imports the catalogue, and its calls of plain names."""
    catalogue, nodes = None, []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            nodes.append((node.func.id, node))
        elif isinstance(node, ast.ImportFrom) and any(each.name == _CALLED for each in node.names):
            catalogue = catalogue or node.module
    return catalogue, nodes
