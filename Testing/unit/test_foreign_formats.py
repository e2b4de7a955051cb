"""Files of other formats are named as such: only damaged files are called damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspadn.errors import InputError
from cspadn.io.foreign_formats import reason_of
from cspadn.io.images import read_in_process
from message_calls import raises

nibabel = pytest.importorskip("nibabel")
VALUES, AFFINE = np.ones((3, 4, 5), np.float32), np.eye(4)


def _saved(kind: type, name: str) -> tuple[str, object]:
    return name, lambda path: kind(VALUES, AFFINE).to_filename(path)


def _bytes(name: str, content: bytes) -> tuple[str, object]:
    return name, lambda path: path.write_bytes(content)


FOREIGN = {
    "a NIfTI-2 file": _saved(nibabel.Nifti2Image, "pet.nii"),
    "a FreeSurfer MGH file": _saved(nibabel.MGHImage, "pet.mgz"),
    "an ECAT 7 file": _bytes("pet.v", b"MATRIX72v\0" + bytes(500)),
    "a MINC 1 or another NetCDF file": _bytes("mri.mnc", b"CDF\x01" + bytes(500)),
    "a Philips PAR file": _bytes("mri.par", b"# === DATA DESCRIPTION FILE =====\n#\n"),
    "a Philips REC file": _bytes("mri.REC", bytes(500)),
    "an AFNI file": _bytes("mri+orig.BRIK.gz", gzip.compress(bytes(500))),
    "an Interfile header": _bytes("pet.hv", b"!INTERFILE  :=\r\n!imaging modality := PT\r\n"),
    "a ZIP archive": _bytes("pet.nii", b"PK\x03\x04" + bytes(100)),
    "a NumPy array": ("pet.nii", lambda path: np.save(path.open("wb"), VALUES)),
    "a MATLAB file": _bytes("pet.img", b"MATLAB 5.0 MAT-file, Platform: GLNXA64"),
    "a web page": _bytes("pet.nii.gz", b"\n<!DOCTYPE html>\n<html><body>404</body></html>"),
    "a PDF": _bytes("pet.nii", b"%PDF-1.7"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_formats_are_named(kind: str, tmp_path: Path) -> None:
    name, make = FOREIGN[kind]
    make(tmp_path / name)
    with raises(InputError, "format-foreign", format=kind, path=tmp_path / name):
        read_in_process(tmp_path / name, "The PET")


@pytest.mark.parametrize("endian", "<>")
@pytest.mark.parametrize("name", ["pet.nii", "pet.nii.gz", "pet.hdr"])
def test_nifti_2_is_named_however_it_is_stored(endian: str, name: str, tmp_path: Path) -> None:
    kind = nibabel.Nifti2Pair if name.endswith(".hdr") else nibabel.Nifti2Image
    header = kind.header_class(endianness=endian)
    header.set_data_dtype(np.float32)
    kind(VALUES, AFFINE, header).to_filename(tmp_path / name)
    with raises(InputError, "format-foreign", format="a NIfTI-2 file"):
        read_in_process(tmp_path / name, "The PET")


def test_nifti_2_is_named_beside_its_voxels(tmp_path: Path) -> None:
    nibabel.Nifti2Pair(VALUES, AFFINE).to_filename(tmp_path / "pet.hdr")
    with raises(InputError, "format-foreign", format="a NIfTI-2 file"):
        read_in_process(tmp_path / "pet.img", "The PET")


def test_a_wrong_ending_is_told(tmp_path: Path) -> None:
    nibabel.Nifti1Image(VALUES, AFFINE).to_filename(tmp_path / "right.nii")
    content = (tmp_path / "right.nii").read_bytes()
    (tmp_path / "unpacked.nii.gz").write_bytes(content)
    (tmp_path / "packed.nii").write_bytes(gzip.compress(content))
    for name, identifier in (("unpacked.nii.gz", "gzip-named-only"), ("packed.nii", "gzip-not-named")):
        with raises(InputError, identifier, path=tmp_path / name):
            read_in_process(tmp_path / name, "The PET")


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0)], ids=["plain", "gzip"])
def test_empty_files_are_called_empty(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "pet.nii.gz").write_bytes(content)
    with raises(InputError, "file-empty"):
        read_in_process(tmp_path / "pet.nii.gz", "The PET")


@given(st.binary(max_size=300), st.booleans())
def test_any_content_has_a_reason(tmp_path_factory, content: bytes, packed: bool) -> None:
    path = tmp_path_factory.mktemp("foreign") / "pet.nii.gz"
    path.write_bytes(b"\x1f\x8b" + content if packed else content)
    assert reason_of(path).identifier in ("file-empty", "format-foreign", "format-unknown")
