"""The catalogue of all errors and warnings of the library; a file for each subject.

Each message has a short identifier that stays the same when its wording changes. docs/messages.md is made from here.
"""

from cspadn.messages import geometry, warnings
from cspadn.messages.record import Catalogue, Message, Section, Sentence

__all__ = ["Catalogue", "Message", "Section", "Sentence", "message"]

message = Catalogue(geometry.SECTION, warnings.SECTION)
