"""Each image file format matches its record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import UsageError
from cspadn.imaging.metadata import PREFIX
from cspadn.io import formats
from cspadn.io.formats import FORMATS, format_of_content, format_of_name, suffix_of
from cspadn.io.formats.file_format import FileFormat
from cspadn.io.images import check_storable, read_in_process, write_image
from message_calls import raises

SUFFIXES = [(each, suffix) for each in FORMATS for suffix in each.suffixes]
OBLIQUE = (1.0, 0.6, 0.0, 0.0, 0.8, 0.0, 0.0, 0.0, 1.0)


def _image(file_format: FileFormat, components: int = 1) -> sitk.Image:
    size = (4, 5) if file_format.is_picture else (4, 5, 6)
    levels = np.arange(np.prod(size) * components, dtype=np.uint8).reshape(*size[::-1], *([components] * (components > 1)))
    return sitk.GetImageFromArray(levels, isVector=components > 1)


@pytest.mark.parametrize(("file_format", "suffix"), SUFFIXES)
def test_image_survives_writing_and_reading(file_format: FileFormat, suffix: str, tmp_path: Path) -> None:
    image = _image(file_format)
    if not file_format.is_picture:
        image.SetSpacing((1.0, 2.0, 3.0))
        image.SetOrigin((-4.0, 5.0, 6.0))
    write_image(image, path := tmp_path / f"image{suffix}", {"model": "cspadn"})
    read = read_in_process(path, "The image")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(image))
    assert read.GetSpacing() == image.GetSpacing()
    assert read.GetOrigin() == image.GetOrigin()
    assert read.HasMetaDataKey(PREFIX + "model") == file_format.has_metadata


@pytest.mark.parametrize(("file_format", "suffix"), SUFFIXES)
def test_color_survives_if_the_format_has_it(file_format: FileFormat, suffix: str, tmp_path: Path) -> None:
    assert (suffix in formats.COLOR_SUFFIXES) == (file_format.has_color and not file_format.is_picture)
    if not file_format.has_color:
        return
    image = _image(file_format, components=3)
    write_image(image, path := tmp_path / f"image{suffix}")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_in_process(path, "The image")), sitk.GetArrayFromImage(image))


@pytest.mark.parametrize(("file_format", "suffix"), [case for case in SUFFIXES if not case[0].is_picture])
def test_oblique_axes_are_kept_or_refused(file_format: FileFormat, suffix: str, tmp_path: Path) -> None:
    image = _image(file_format)
    image.SetDirection(OBLIQUE)
    path = tmp_path / f"image{suffix}"
    if not file_format.has_oblique_axes:
        with raises(UsageError, "axes-not-storable"):
            check_storable(image, path)
        return
    check_storable(image, path)
    write_image(image, path)
    assert read_in_process(path, "The image").GetDirection() == pytest.approx(OBLIQUE)


@pytest.mark.parametrize(("file_format", "suffix"), SUFFIXES)
def test_format_is_recognised_by_content_and_by_name(file_format: FileFormat, suffix: str, tmp_path: Path) -> None:
    write_image(_image(file_format), path := tmp_path / f"a.b{suffix}")
    assert format_of_content(path) is file_format
    upper = path.with_name(path.name.upper())
    assert format_of_name(upper) is file_format
    assert suffix_of(upper) == suffix
    assert format_of_name(tmp_path / "a.xyz") is None
    assert suffix_of(tmp_path / "a.XYZ") == ".xyz"


def test_a_format_that_itk_lacks_needs_only_a_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use numpy's own format as an example."""
    numpy_format = FileFormat(
        "NumPy",
        (".npy",),
        read=lambda path: sitk.GetImageFromArray(np.load(path)),
        write=lambda image, path: np.save(path, sitk.GetArrayFromImage(image)),
    )
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, numpy_format))
    image = _image(numpy_format)
    write_image(image, path := tmp_path / "image.npy")
    np.testing.assert_array_equal(np.load(path), sitk.GetArrayFromImage(image))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_in_process(path, "The image")), sitk.GetArrayFromImage(image))


def test_names_of_formats_are_unique() -> None:
    suffixes = [suffix for each in FORMATS for suffix in each.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert len(formats.FORMAT_NAMES) == len(set(formats.FORMAT_NAMES))
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
