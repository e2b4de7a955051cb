"""The sentences that people are told, as they stand in the code and as docs/messages.md explains them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACE = "…"  # of a name or a number that is put in
_LEAST_WORDS = 4
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef
# What ends like a sentence and is none that tells of an event: what commands, files and pages say of themselves; of the log,
# what stands beside a sentence of the panel.
NO_MESSAGES = {  # by their beginnings, each of which only one text has
    *("Fuses a PET and an MRI volume", "Implements CSpA-DN", "Fuse the two volumes", "Weights of a network"),
    *("An empty folder for the files of the series", "Write the last result as a derived DICOM series"),
    *("Measure every fused slice as well, in a table",),
    *("Fuse the PETs of a BIDS dataset", "Measure how good a fused image is.", "in the volume's units; default"),
    *("… ……: … SHA-256", "… * empty in PET and MRI"),
    *("Research use only", "Fused by CSpADNFusion.", "PET and MRI fused by CSpA-DN.", "PET and MRI fused by CSpA-DN:"),
    *("# PET and MRI fused", "One slice every", "Every slice of the fused volume,", "Every …… slice of the fused volume,"),
    *("CSpADNFusion: …", "CSpADNFusion: the fusion could", "CSpADNFusion: the progress", "CSpADNFusion: unexpected error"),
    *("CSpADNFusion: the result could", "CSpADNFusion: the series could", "CSpADNFusion: '…' holds"),
}
_HELP = {"help", "description", "doc"}  # of argparse, and of the records of metrics
_EXPLAINED = {"setting", "add_window"}  # functions that take a help text


def in_code(folder: Path = ROOT / "CSpADNFusion") -> dict[str, list[str]]:
    """Each sentence, with :data:`PLACE` for what is put in, and the places (``file:line``) that it has in the code."""
    found: dict[str, list[str]] = {}
    for place, text, translated in all_texts(folder):
        if _is_message(text, translated):
            found.setdefault(text, []).append(place)
    return found


def all_texts(folder: Path = ROOT / "CSpADNFusion") -> Iterator[tuple[str, str, bool]]:
    """Place, text, and whether it is translated, of each string in the code."""
    for file in sorted(folder.rglob("*.py")):
        if file.parent.name == "messages":  # the catalogue has its own tests
            continue
        for line, text, translated in _texts(ast.parse(file.read_text(encoding="utf-8"))):
            yield f"{file.relative_to(folder)}:{line}", text, translated


def in_docs(file: Path = ROOT / "docs" / "messages.md") -> list[str]:
    """The first cells of its tables, without the bold face and the backslashes before signs of Markdown."""
    cells = re.findall(r"^\| \*\*(.+?)\*\* \|", file.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"\\([|*_])", r"\1", cell) for cell in cells]


def _is_message(text: str, translated: bool) -> bool:
    """What ends as a sentence does, says what to do behind a colon, or is translated and more than a label."""
    if len(text.split()) < _LEAST_WORDS or text.startswith(tuple(NO_MESSAGES)):
        return False
    return text.endswith((".", "?")) or ": " in text or (translated and text[0].isupper())


def _texts(node: ast.AST, translated: bool = False) -> Iterator[tuple[int, str, bool]]:
    """Line, text, and whether it is translated, of each string that is no docstring; a joined one is one."""
    if isinstance(node, ast.expr) and (text := _text(node)) is not None:
        yield node.lineno, re.sub(r"\s+", " ", text.strip()), translated
        return
    if isinstance(node, ast.keyword) and node.arg in _HELP:
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # the docstring of a name
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _EXPLAINED:
        return
    translated = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_"
    docstring = node.body[0] if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) else None
    for child in ast.iter_child_nodes(node):
        if child is not docstring:
            yield from _texts(child, translated)


def _text(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return re.sub(r"\{[^{}]*\}", PLACE, text)
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else PLACE for part in parts)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            texts = _text(left), _text(right)
            return None if texts == (None, None) else "".join(PLACE if text is None else text for text in texts)
    return None
