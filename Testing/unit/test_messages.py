"""docs/messages.md lists what people are told, all of it, and nothing else."""

from __future__ import annotations

import collections
from pathlib import Path

import messages

CODE = '''
"""A module that says things."""

def fuse(name, share):
    """Not a message. Not this one either."""
    if not name:
        raise InputError(_("Select two different volumes"))
    warn(f"{name} covers only {share:.0%} of the head" ": register it first.")
    parser.add_argument("--x", help="nothing that happens: an explanation.")
    return {"a label": 1}
'''


def test_every_message_is_explained() -> None:
    assert sorted(set(messages.in_code()) - set(messages.in_docs())) == []


def test_nothing_is_explained_that_nobody_says() -> None:
    listed = messages.in_docs()
    assert sorted(set(listed) - set(messages.in_code())) == []
    assert [text for text, count in collections.Counter(listed).items() if count > 1] == []


def test_each_has_an_explanation() -> None:
    rows = (messages.ROOT / "docs" / "messages.md").read_text(encoding="utf-8").splitlines()
    cells = [row.rsplit("** |", 1)[1].strip(" |") for row in rows if row.startswith("| **")]
    assert len(cells) == len(messages.in_docs())
    assert [cell for cell in cells if len(cell.split()) < 3] == []


def test_messages_are_found_in_code(tmp_path: Path) -> None:
    """The comparison can fail: a sentence with names in it, a translated one, and no docstring, help or label."""
    (tmp_path / "module.py").write_text(CODE)
    found = messages.in_code(tmp_path)
    assert set(found) == {"Select two different volumes", "… covers only … of the head: register it first."}
    assert found["Select two different volumes"] == ["module.py:7"]


def test_what_is_left_out_is_one_text() -> None:
    """So that none hides a message that begins likewise, and none outlives its text."""
    texts = {text for _, text, _ in messages.all_texts()}
    counts = {words: sum(text.startswith(words) for text in texts) for words in messages.NO_MESSAGES}
    assert {words: count for words, count in counts.items() if count != 1} == {}
