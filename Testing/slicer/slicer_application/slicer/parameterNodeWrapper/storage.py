"""How a typed value lies in a vtkMRMLScriptedModuleNode: the same parameters and node references as Slicer writes."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, field
from typing import Any

import slicer


@dataclass(frozen=True)
class Default:
    """The value of a parameter that has never been set."""

    value: Any = None


@dataclass(frozen=True)
class WithinRange:
    """Allows the values from minimum to maximum, both included."""

    minimum: float
    maximum: float

    def validate(self, value):
        """Raise ValueError for a value out of range."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within [{self.minimum}, {self.maximum}], is {value}")


@dataclass(frozen=True)
class Choice:
    """Allows the listed values."""

    choices: list

    def validate(self, value):
        """Raise ValueError for a value that is not listed."""
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value}")


@dataclass
class ValueStorage:
    """A str, bool, int or float, as one text parameter."""

    type: type
    validators: list = field(default_factory=list)

    def default(self):
        """Return the value of a parameter without a given default."""
        return 0 if self.type is float else self.type()

    def validate(self, value):
        """Raise TypeError or ValueError for a value that may not be stored; None never may."""
        if not isinstance(value, (int, float) if self.type is float else self.type):
            raise (ValueError if value is None else TypeError)(f"Value must be {self.type.__name__}, is {value!r}")
        for validator in self.validators:
            validator.validate(value)

    def isIn(self, node, name):
        """Tell whether the node has the parameter."""
        return node.HasParameter(name)

    def write(self, node, name, value):
        """Check and store the value."""
        self.validate(value)
        node.SetParameter(name, str(value))

    def read(self, node, name):
        """Return the stored value."""
        text = node.GetParameter(name)
        return text == "True" if self.type is bool else self.type(text)

    def remove(self, node, name):
        """Forget the value."""
        node.UnsetParameter(name)


class NodeStorage(ValueStorage):
    """A MRML node or None, as a node reference; an empty parameter of the same name tells that it was set."""

    def default(self):
        """Return None: no node."""

    def validate(self, value):
        """Raise TypeError for anything but None or a node of the type."""
        if value is not None and not isinstance(value, self.type):
            raise TypeError(f"Value must be {self.type.__name__}, is {value!r}")

    def write(self, node, name, value):
        """Check and store the reference."""
        self.validate(value)
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node, name):
        """Return the referenced node."""
        return node.GetNodeReference(name)

    def remove(self, node, name):
        """Forget the reference."""
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class NoneStorage(ValueStorage):
    """The None of `X | None`."""

    def validate(self, value):
        """Raise ValueError for anything but None."""
        if value is not None:
            raise ValueError(f"Value must be None, is {value!r}")

    def write(self, node, name, value):
        """Store that the value is None."""
        node.SetParameter(name, "True")

    def read(self, node, name):
        """Return None."""


@dataclass
class UnionStorage:
    """`A | B`: the value lies under the name with the number of its type appended."""

    members: list

    def default(self):
        """Return None for `X | None`, otherwise the first type's default."""
        optional = len(self.members) == 2 and type(self.members[1]) is NoneStorage
        return None if optional else self.members[0].default()

    def isIn(self, node, name):
        """Tell whether the node has the parameter."""
        return any(member.isIn(node, f"{name}.{index}") for index, member in enumerate(self.members))

    def write(self, node, name, value):
        """Store the value with the first member that takes its type."""
        takers = [index for index, member in enumerate(self.members) if _takes(member, value)]
        if not takers:
            raise TypeError(f"Unable to write {value!r}")
        index, member = takers[0], self.members[takers[0]]
        member.validate(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            member.write(node, f"{name}.{index}", value)

    def read(self, node, name):
        """Return the value of the member that has one."""
        return next(m.read(node, f"{name}.{i}") for i, m in enumerate(self.members) if m.isIn(node, f"{name}.{i}"))

    def remove(self, node, name):
        """Forget the value of every member."""
        for index, member in enumerate(self.members):
            member.remove(node, f"{name}.{index}")


def _takes(member, value):
    """Tell whether the type of the value, not the value itself, suits a member of a union; None is a type of its own."""
    return type(member) is NoneStorage if value is None else isinstance(value, member.type)


def splitAnnotations(datatype):
    """Return the plain type, with `A | B` as typing.Union, and the list of its annotations."""
    annotations = list(getattr(datatype, "__metadata__", ()))
    plain = datatype.__origin__ if annotations else datatype
    if isinstance(plain, types.UnionType):
        plain = typing.Union[typing.get_args(plain)]  # noqa: UP007
    return plain, annotations


def nodeTypes(datatype):
    """Return the MRML class names of a node type or a union of node types and None; an empty list for other types."""
    plain = splitAnnotations(datatype)[0]
    members = [member for member in typing.get_args(plain) or (plain,) if member is not type(None)]
    isNode = all(isinstance(member, type) and issubclass(member, slicer.vtkMRMLNode) for member in members)
    return [member.__name__ for member in members] if isNode else []


def storageFor(datatype):
    """Return the storage of an annotated type; TypeError for a type that the stand-in does not have."""
    plain, annotations = splitAnnotations(datatype)
    validators = [annotation for annotation in annotations if hasattr(annotation, "validate")]
    if typing.get_origin(plain) is typing.Union:
        return UnionStorage([storageFor(member) for member in typing.get_args(plain)])
    if plain in (str, bool, int, float):
        return ValueStorage(plain, validators)
    if plain is type(None):
        return NoneStorage(plain)
    if nodeTypes(plain):
        return NodeStorage(plain)
    raise TypeError(f"Unable to store {datatype} in a parameter node")
