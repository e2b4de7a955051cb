"""Transforms as ITK's text files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.io.atomic_output import Staged, stage
from cspadn.io.regular_files import read_regular_text
from cspadn.messages import message
from cspadn.registration.placing import matrix_of

TRANSFORM_SUFFIXES = (".tfm", ".txt")
_MARK, _KIND, _PARAMETERS, _FIXED = "#Insight Transform File", "Transform", "Parameters", "FixedParameters"
_MOST = 2**16  # bytes of such a file
_AFFINE = ("AffineTransform", "MatrixOffsetTransformBase")
_RIGID = {"Euler3DTransform": sitk.Euler3DTransform, "VersorRigid3DTransform": sitk.VersorRigid3DTransform}
_SKEW = 1e-3  # by which the columns of a rotation may differ from orthonormal ones: numbers in files are rounded


def stage_transform(path: Path, transform: sitk.Transform) -> Staged:
    """Write a transform under a temporary name; UsageError where that fails."""
    return stage(path, path.suffix, lambda temporary: sitk.WriteTransform(transform, str(temporary)))


def read_rigid(path: Path) -> list[float]:
    """Read a rigid transform from a text file of ITK; the file is parsed here, not by ITK.

    Returns:
        The 16 numbers of :func:`cspadn.registration.placing.matrix_of`, with a rotation that is exact.

    Raises:
        InputError: the file cannot be read, has no or several transforms, or another kind of transform.
    """
    try:
        matrix: NDArray[np.float64] = np.reshape(matrix_of(_parsed(read_regular_text(path, _MOST))), (4, 4))
    except OSError as error:
        raise InputError(message("transform-unreadable", path=path, why=error.strerror or error)) from None
    except (ValueError, LookupError, RuntimeError):
        raise InputError(message("transform-not-itk", path=path)) from None
    left, scales, right = np.linalg.svd(matrix[:3, :3])
    if np.abs(scales - 1).max() > _SKEW or np.linalg.det(matrix[:3, :3]) < 0:
        raise InputError(message("transform-not-rigid", path=path))
    matrix[:3, :3] = left @ right
    return [float(number) for number in matrix.ravel()]


def _parsed(text: str) -> sitk.Transform:
    """Return the only transform of a file; ValueError, LookupError or RuntimeError if there is none that is known."""
    lines = text.splitlines()
    fields = [line.split(":", 1) for line in lines if ":" in line and not line.startswith("#")]
    if not lines or not lines[0].startswith(_MARK) or sum(key == _KIND for key, _ in fields) != 1:
        raise ValueError(text)
    values = {key.strip(): value.strip() for key, value in fields}
    kind = values[_KIND].split("_")[0]
    transform = sitk.AffineTransform(3) if kind in _AFFINE else _RIGID[kind]()
    for key, store in ((_FIXED, transform.SetFixedParameters), (_PARAMETERS, transform.SetParameters)):
        numbers = [float(number) for number in values[key].split()]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(values[key])
        store(numbers)
    return transform
