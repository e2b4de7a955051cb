"""Transforms as ITK's text files."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from cspadn.io.atomic_output import Staged, stage

TRANSFORM_SUFFIXES = (".tfm", ".txt")


def stage_transform(path: Path, transform: sitk.Transform) -> Staged:
    """Write a transform under a temporary name; UsageError where that fails."""
    return stage(path, path.suffix, lambda temporary: sitk.WriteTransform(transform, str(temporary)))
