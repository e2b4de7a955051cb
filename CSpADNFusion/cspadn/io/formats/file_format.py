"""The record of one image file format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import SimpleITK as sitk

    from cspadn.io.header_checks import Voxels


def read_with_itk(path: Path, itk_name: str) -> sitk.Image:
    """Read an image file with one of ITK's readers, and no other; RuntimeError if that fails."""
    import SimpleITK as sitk

    return sitk.ReadImage(str(path), imageIO=itk_name)


def read_noting_position(path: Path, itk_name: str, fields: Collection[str], positions: Iterable[str]) -> sitk.Image:
    """Read an image file as :func:`read_with_itk`, and note if its header has no position.

    Args:
        fields: keys of the header.
        positions: keys of which one is enough to give a position.
    """
    from cspadn.imaging.metadata import add_note
    from cspadn.messages import message

    image = read_with_itk(path, itk_name)
    if image.GetDimension() >= 3 and not any(name in fields for name in positions):
        add_note(image, message("image-without-position", file=path.name))
    return image


def write_with_itk(image: sitk.Image, path: Path) -> None:
    """Write an image, compressed, with ITK's own writer; RuntimeError if that fails."""
    import SimpleITK as sitk

    sitk.WriteImage(image, str(path), useCompression=True)


def any_voxels(path: Path) -> Voxels | None:
    """Find the voxels of a format whose header is not checked: somewhere in the file."""
    from cspadn.io.header_checks import Voxels

    return Voxels.somewhere_in(path)


@dataclass(frozen=True)
class FileFormat:
    """An image file format.

    Attributes:
        name: name in messages and in the help.
        suffixes: endings of the files that are written, in lower case, with the dot; the first is the usual one.
        itk_name: ITK's name of its reader; None if ITK does not read it.
        is_content: returns whether an existing file begins as those of this format do; may raise
            :class:`cspadn.io.header_checks.DamageError` or OSError. Without it, files are recognised by their names.
        is_picture: whether it holds two-dimensional pictures, such as PNG, instead of volumes.
        has_color: whether colour volumes are written in it, as most programs would read them back.
        has_metadata: whether it stores key/value pairs, such as the provenance.
        has_oblique_axes: whether it stores axes that are not at right angles to each other.
        find_voxels: finds the voxels by the header and checks the header; raises
            :class:`cspadn.io.header_checks.DamageError`. It returns None for forms that are left to the reader.
        read: reads a file; raises RuntimeError or OSError. None: ITK's reader. If ITK does not read the format, it also checks
            the header.
        write: writes a whole file; raises RuntimeError or OSError.
    """

    name: str
    suffixes: tuple[str, ...]
    itk_name: str | None = None
    is_content: Callable[[Path], bool] | None = None
    is_picture: bool = False
    has_color: bool = True
    has_metadata: bool = False
    has_oblique_axes: bool = False
    find_voxels: Callable[[Path], Voxels | None] = any_voxels
    read: Callable[[Path], sitk.Image] | None = None
    write: Callable[[sitk.Image, Path], None] = write_with_itk
