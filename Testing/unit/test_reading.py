"""Valid files of rare forms are read: ITK decides where the header check does not understand a file."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import InputError
from cspadn.imaging.metadata import notes_of
from cspadn.io.images import read_in_process
from message_calls import identifiers, raises

VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
META = "NDims = 3\nDimSize = 4 3 2\nElementType = MET_SHORT\nElementSpacing = 1 1 1\nBinaryData = True\n"
NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 3 2\nendian: little\n"


def _compressed_beside(folder: Path) -> Path:
    (folder / "a.zraw").write_bytes(zlib.compress(VOXELS.tobytes()))
    (file := folder / "a.mhd").write_text(META + "CompressedData = True\nElementDataFile = a.zraw\n")
    return file


def _raw_beside(folder: Path) -> Path:
    (folder / "a.raw").write_bytes(VOXELS.tobytes())
    (file := folder / "a.mhd").write_text(META + "ElementDataFile = a.raw\n")
    return file


def _blank_line(folder: Path) -> Path:
    header = META.replace("DimSize", "\nDimSize") + "ElementDataFile = LOCAL\n"
    (file := folder / "a.mha").write_bytes(header.encode() + VOXELS.tobytes())
    return file


def _text_beside(folder: Path) -> Path:
    (folder / "a.txt").write_text(" ".join(map(str, VOXELS.ravel())))
    (file := folder / "a.nhdr").write_text(f"{NRRD}encoding: ascii\ndata file: a.txt\n")
    return file


def _unknown_spacing(folder: Path) -> Path:
    header = f"{NRRD}encoding: raw\nspacings: 1 1 nan\n\n"
    (file := folder / "a.nrrd").write_bytes(header.encode() + VOXELS.tobytes())
    return file


def _nifti(folder: Path, voxels: np.ndarray, *patches: tuple[int, str, tuple[float, ...]]) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(file := folder / "a.nii"))
    content = bytearray(file.read_bytes())
    for offset, form, values in patches:
        struct.pack_into(f"<{len(values)}{form}", content, offset, *values)
    file.write_bytes(content)
    return file


def _in_two_files(name: str, magic: bytes, folder: Path) -> Path:
    """Header and voxels; without the letters at the header's end it is of Analyze, from which NIfTI comes."""
    stem = folder / "a"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(stem.with_suffix(Path(name).suffixes[0].replace("img", "hdr"))))
    content = stem.with_suffix(".hdr").read_bytes()
    stem.with_suffix(".hdr").write_bytes(content[:344] + magic + content[348:])
    if name.endswith(".gz"):
        for file in (stem.with_suffix(".hdr"), stem.with_suffix(".img")):
            (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    return folder / name


FORMS: dict[str, Callable[[Path], Path]] = {
    "MetaImage with compressed voxels beside it, of untold size": _compressed_beside,
    "MetaImage with raw voxels beside it": _raw_beside,
    "MetaImage with an empty line": _blank_line,
    "NRRD with text beside it": _text_beside,
    "NRRD with an unknown spacing": _unknown_spacing,
    **{f"NIfTI as {name}": partial(_in_two_files, name, b"ni1\0") for name in ("a.hdr", "a.img", "a.hdr.gz", "a.img.gz")},
    "Analyze": partial(_in_two_files, "a.hdr", b"\0\0\0\0"),
    "NIfTI with zeros beyond its dimensions": lambda folder: _nifti(folder, VOXELS, (40, "h", (4, 4, 3, 2, 0, 0, 0, 0))),
}


@pytest.mark.parametrize("form", FORMS)
def test_good_files_are_read(form: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_in_process(FORMS[form](tmp_path), "The PET")), VOXELS)


def test_one_slice_needs_no_distance(tmp_path: Path) -> None:
    image = read_in_process(_nifti(tmp_path, VOXELS[:1], (88, "f", (0.0,))), "The PET")
    np.testing.assert_array_equal(np.squeeze(sitk.GetArrayFromImage(image)), VOXELS[0])


def test_a_picture_of_one_colour_is_read(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image([2048, 2048], sitk.sitkUInt8), str(file := tmp_path / "a.png"))
    assert read_in_process(file, "The PET").GetSize() == (2048, 2048)


def test_a_metaimage_with_many_other_fields_is_recognised_at_once(tmp_path: Path) -> None:
    """As ITK writes one that was a NIfTI file."""
    image = sitk.GetImageFromArray(np.arange(2 * 5 * 6, dtype=np.float32).reshape(2, 5, 6))
    for number in range(60):
        image.SetMetaData(f"dim[{number}]", str(number))
    sitk.WriteImage(image, str(tmp_path / "pet.mhd"))
    assert read_in_process(tmp_path / "pet.mhd", "The PET").GetSize() == (6, 5, 2)


def test_many_lines_without_the_key_of_a_metaimage_are_no_image(tmp_path: Path) -> None:
    (tmp_path / "pet.mhd").write_text("A = b\n" * 200)
    with raises(InputError, "format-unknown"):
        read_in_process(tmp_path / "pet.mhd", "The PET")


POSITIONS = {
    "a.nrrd": ("", "space: left-posterior-superior\nspace directions: (1,0,0) (0,2,0) (0,0,3)\n"),
    "a.mha": ("", "Offset = 0 0 0\n"),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_a_file_without_a_position_is_read_with_a_warning(name: str, tmp_path: Path) -> None:
    header, end = (f"{NRRD}encoding: raw\n", "\n") if name.endswith("nrrd") else (META, "ElementDataFile = LOCAL\n")
    for fields, expected in zip(POSITIONS[name], (["image-without-position"], []), strict=True):
        (tmp_path / name).write_bytes(f"{header}{fields}{end}".encode() + VOXELS.tobytes())
        image = read_in_process(tmp_path / name, "It")
        assert identifiers(notes_of(image)) == expected
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), VOXELS)
