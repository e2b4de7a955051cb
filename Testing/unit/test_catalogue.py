"""The catalogue of messages: every call fits it, every message is used, and docs/messages.md shows it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import message_calls
import message_page
from cspadn.errors import InputError
from cspadn.messages import Catalogue, Message, Section, Sentence, message
from message_calls import MESSAGES, says

DESCRIPTION = "CSpADNFusion.py:"  # of the module, in sentences that are not messages
MODULE = message_calls.ROOT / "CSpADNFusion"

FAULTY = '''
from cspadn.messages import message

def check(name, share):
    """No message: a docstring."""
    if name:
        raise InputError(message("volume-complex", volume=name))
    raise InputError(message("overlap-too-smal", share=share))
    raise InputError(message("overlap-too-small", volume=name))
    raise InputError(message(name, share=share))
    raise InputError(message("select-two-volumes"))
    raise UsageError(f"{name} is wrong: correct it.")
    raise UsageError(_("A text.").format(name=name))
    show(_("Volumes: select two of them"))
    show(_("Fused volume"))
    raise ValueError("for programmers")
    raise ModelError(reason)
'''


def faults(folder: Path) -> list[str]:
    """Return the places of calls that name no message, or not exactly its fields."""
    return [call.place for call in message_calls.calls(folder) if message_calls.wrong(call)]


def test_every_call_names_a_message_and_exactly_its_fields() -> None:
    assert faults(MODULE) == []


def test_every_message_is_used() -> None:
    assert sorted(set(MESSAGES) - {call.identifier for call in message_calls.calls(MODULE)}) == []


def test_identifiers_are_unique_over_both_catalogues() -> None:
    assert len(MESSAGES) == sum(len(list(catalogue)) for catalogue in message_calls.CATALOGUES.values())


def test_errors_of_the_library_come_from_the_catalogue() -> None:
    found = list(message_calls.texts_outside(MODULE))
    assert [place for place in found if not place.startswith(DESCRIPTION)] == []


def test_wrong_calls_and_texts_outside_are_found(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(FAULTY)
    assert faults(tmp_path) == [f"module.py:{line}" for line in (8, 9, 10, 11)]
    assert list(message_calls.texts_outside(tmp_path)) == [f"module.py:{line}" for line in (12, 13, 14)]


def test_texts_of_the_library_are_single_lines_that_end_like_sentences() -> None:
    assert [each.identifier for each in message if "\n" in each.text or not each.text.endswith((".", "}"))] == []


def test_page_is_made_from_the_catalogue() -> None:
    assert message_page.PAGE.read_text(encoding="utf-8") == message_page.page(), "run 'make messages'"


def test_page_explains_each_message() -> None:
    assert [each.identifier for each in MESSAGES.values() if len(each.help.split()) < 3] == []


def test_error_keeps_identifier_and_fields_in_another_process() -> None:
    error = pickle.loads(pickle.dumps(InputError(message("volume-complex", volume="The PET"))))
    assert (error.identifier, error.fields, error.exit_code) == ("volume-complex", {"volume": "The PET"}, 3)
    assert str(error).startswith("The PET ")
    assert InputError("a text").identifier == ""


def test_reason_inside_a_message_gives_the_identifier() -> None:
    outer, inner = Message("file-unreadable", "{path}: {why}", "x"), Message("file-cut", "it ends after {count} bytes", "x")
    reason = inner.fill({"count": 5})
    whole = outer.fill({"path": "a.nii", "why": reason})
    assert whole == "a.nii: it ends after 5 bytes"
    assert (whole.identifier, whole.fields) == ("file-cut", {"count": 5, "path": "a.nii", "why": reason})


@pytest.mark.parametrize("identifier", ["one", "Two-Words", "two_words", "-two", "two-"])
def test_identifier_is_lower_case_words_joined_by_hyphens(identifier: str) -> None:
    with pytest.raises(ValueError, match=identifier):
        Message(identifier, "text", "help")


def test_fields_have_names_and_identifiers_are_unique() -> None:
    with pytest.raises(ValueError, match="some-text"):
        Message("some-text", "{} of {0}", "help")
    record = Message("some-text", "{a} of {b:.2f}", "help")
    assert record.fields == {"a", "b"}
    with pytest.raises(ValueError, match="some-text"):
        Catalogue(Section("A", "", (record,)), Section("B", "", (record,)))


def test_texts_are_recognised_by_identifier_and_fields() -> None:
    text = f"cspadn: {message('overlap-too-small', share=0.00512)}\n"
    assert says(text, "overlap-too-small")
    assert says(text, "overlap-too-small", share=0.0051)
    assert not says(text, "overlap-too-small", share=0.0061)
    assert not says(text, "no-overlap")
    with pytest.raises(ValueError, match="volume"):
        says(text, "overlap-too-small", volume="The PET")


def test_missing_field_or_message_is_an_error() -> None:
    with pytest.raises(KeyError):
        message("volume-complex")
    with pytest.raises(KeyError):
        message("no-such-message")
    assert isinstance(message("no-overlap"), Sentence)


def test_the_name_of_a_volume_is_capitalised_at_the_start_of_a_sentence_only() -> None:
    within = message("window-hardly-reached", lower=0, upper=8, volume="The PET", highest=0.3)
    assert " shows the PET nearly black" in within
    assert within.fields["volume"] == "The PET"
