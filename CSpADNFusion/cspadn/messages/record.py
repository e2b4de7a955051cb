"""Records of messages: a text with named fields, its identifier, and what helps."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")


class Sentence(str):
    """A message with its fields filled in: a text for the user that keeps its identifier.

    Attributes:
        identifier: of the message.
        fields: the values that were filled in, by name.
    """

    identifier: str
    fields: dict[str, Any]

    def __new__(cls, text: str, identifier: str = "", fields: dict[str, Any] | None = None) -> Sentence:
        sentence = super().__new__(cls, text)
        sentence.identifier, sentence.fields = identifier, dict(fields or {})
        return sentence


@dataclass(frozen=True)
class Message:
    """A text for the user.

    Attributes:
        identifier: stable name of the message, in words joined by hyphens, such as ``pet-outside-mri``.
        text: one sentence: what is wrong, with which file or volume, and what to do. Fields are in braces, as for
            :meth:`str.format`.
        help: where the message comes from and what helps, in Markdown, for docs/messages.md.

    Raises:
        ValueError: the identifier has another form, or a field of the text has no name.
    """

    identifier: str
    text: str
    help: str

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.identifier):
            raise ValueError(f"The identifier '{self.identifier}' must be two or more words, joined by hyphens.")
        if not all(name.isidentifier() for name in self.fields):
            raise ValueError(f"A field of the message '{self.identifier}' has no name.")

    @property
    def fields(self) -> frozenset[str]:
        """Return the names of the fields of the text."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.text) if name is not None)

    def fill(self, fields: dict[str, Any]) -> Sentence:
        """Return the sentence with these values.

        A value may be a sentence itself, as the reason why a file cannot be read. Its identifier is the more precise one, so
        the whole keeps it, and its fields as well. "The PET" as the volume becomes "the PET" within a sentence.

        Raises:
            KeyError: a field has no value.
        """
        inner = next((value for value in fields.values() if isinstance(value, Sentence)), None)
        identifier, inner_fields = (inner.identifier, inner.fields) if inner is not None else (self.identifier, {})
        shown = dict(fields)
        if str(fields.get("volume", "")).startswith("The ") and not self.text.startswith("{volume}"):
            shown["volume"] = "the " + str(fields["volume"]).removeprefix("The ")
        return Sentence(self.text.format(**shown), identifier, {**inner_fields, **fields})


@dataclass(frozen=True)
class Section:
    """Messages of one subject.

    Attributes:
        title: heading in docs/messages.md.
        introduction: in Markdown, below the heading.
    """

    title: str
    introduction: str
    messages: tuple[Message, ...]


class Catalogue:
    """Messages by identifier; call it to fill one in.

    >>> catalogue = Catalogue(Section("Files", "", (Message("file-missing", "{path} is missing: check it.", "Look."),)))
    >>> catalogue("file-missing", path="pet.nii")
    'pet.nii is missing: check it.'
    >>> catalogue("file-missing", path="pet.nii").identifier
    'file-missing'

    Raises:
        ValueError: two messages have one identifier.
    """

    def __init__(self, *sections: Section) -> None:
        self.sections = sections
        self._messages: dict[str, Message] = {}
        for message in self:
            if message.identifier in self._messages:
                raise ValueError(f"There are two messages '{message.identifier}'.")
            self._messages[message.identifier] = message

    def __iter__(self) -> Iterator[Message]:
        return (message for section in self.sections for message in section.messages)

    def __getitem__(self, identifier: str) -> Message:
        return self._messages[identifier]

    def __call__(self, identifier: str, /, **fields: Any) -> Sentence:
        """Return a message with its fields filled in.

        A unit test compares all calls in the code with the catalogue.

        Raises:
            KeyError: there is no such message, or a field has no value.
        """
        return self._messages[identifier].fill(fields)
