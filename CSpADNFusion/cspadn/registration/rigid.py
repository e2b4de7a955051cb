"""Register a PET to an MRI of the same head by a rigid motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import SimpleITK as sitk

from cspadn.errors import CancelledError, InputError
from cspadn.imaging.geometry import check_volume
from cspadn.imaging.padding import without_padding
from cspadn.messages import message
from cspadn.registration.head import Head
from cspadn.registration.placing import matrix_of, placed
from cspadn.registration.search import (
    COARSE,
    FINE,
    Found,
    aligned_heads,
    are_close,
    best_of,
    distinct,
    refined,
    similarity_of,
    turned_starts,
)
from cspadn.registration.similarity import Motion, Similarity

Progress = Callable[[int, int], None]  # steps done, steps in all
LEAST_SIMILARITY = 0.06  # on the coarse level: docs/adr/0023 lists pairs of heads, and others
_MOST_DEGREES = 45.0  # a head that lies otherwise in its scanner is not a head
_LEAST_AGREEMENT = 0.25  # of the starts: on heads nearly all end at one place, on other pairs hardly two
_COARSE_STARTS, _FINE_STARTS = 12, 3
_INNER_MM = 50.0  # radius of a sphere inside the brain, where the outline of the head is no help
_LEAST_EXPLAINED, _LEAST_INNER_SIMILARITY = 0.2, 0.03  # share of the PET's variance there, and similarity: docs/adr/0023


@dataclass(frozen=True)
class Registration:
    """The result of a registration.

    Attributes:
        transform: maps a point of the MRI to the point of the PET (mm, LPS), as ``SimpleITK.Resample(pet, mri, transform)``
            takes it.
        similarity: normalised mutual information minus 1, from 0 to 1, at 4 mm.
        displacement_mm: mean distance by which the transform moves the points of the brain.
        rotation_degrees: angle of the rotation.
        overlap: share of the head in the MRI that the PET's field of view covers.
        agreement: share of the starts that ended at this transform.
    """

    transform: sitk.Transform
    similarity: float
    displacement_mm: float
    rotation_degrees: float
    overlap: float
    agreement: float

    def provenance(self) -> dict[str, object]:
        """Return the result as entries of the provenance."""
        return {
            "registration": "rigid",
            "registration_matrix": matrix_of(self.transform),
            "registration_mm": round(self.displacement_mm, 2),
            "registration_degrees": round(self.rotation_degrees, 2),
            "registration_similarity": round(self.similarity, 4),
        }

    def placed(self, pet: sitk.Image) -> sitk.Image:
        """Return the PET in the space of the MRI: the same voxels with another origin and other directions."""
        return placed(pet, self.transform)


def register(
    pet: sitk.Image,
    mri: sitk.Image,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Registration:
    """Find the rigid transform between a PET and an MRI of the same head.

    The similarity is normalised mutual information. The search starts from many rotations and moves at 8 mm, climbs from the
    best of them, and ends at 4 mm. The volumes may lie anywhere, but heads that are rotated by more than 45 degrees against
    each other are refused. The result is the same for the same inputs, whatever the number of threads.

    Args:
        pet, mri: scalar volumes of any grid and orientation; they are not changed. NaN and infinity are background.
        progress: called after each step with the steps done and the steps in all.
        cancelled: asked before each step; True stops.

    Raises:
        InputError: a volume is empty, constant or too small, or the two do not look like one head in any position.
        CancelledError: ``cancelled`` returned True.
    """
    check_volume(pet, "The PET")
    check_volume(mri, "The MRI")
    steps = _Steps(progress, cancelled)
    steps()
    heads = Head.of(without_padding(pet)[0], "The PET"), Head.of(without_padding(mri)[0], "The MRI")
    coarse = similarity_of(*heads, COARSE)
    steps()
    starts = best_of(coarse, turned_starts(heads[1].centre, aligned_heads(*heads)), _COARSE_STARTS)
    rough = refined(coarse, starts, steps)
    _check_similarity(rough[0])
    fine = similarity_of(*heads, FINE)
    best = refined(fine, [found.motion for found in islice(distinct(rough), _FINE_STARTS)], steps)[0]
    agreement = sum(are_close(found.motion, best.motion) for found in rough) / len(rough)
    if best.motion.degrees > _MOST_DEGREES or agreement < _LEAST_AGREEMENT:
        raise InputError(message("registration-no-match"))
    _check_inside(fine, best.motion, heads[1])
    steps.finish()
    return Registration(
        transform=best.motion.transform(),
        similarity=-best.cost,
        displacement_mm=float(best.motion.displacements(heads[1].brain_points()).mean()),
        rotation_degrees=best.motion.degrees,
        overlap=fine.share(best.motion),
        agreement=agreement,
    )


def _check_similarity(found: Found) -> None:
    if -found.cost < LEAST_SIMILARITY:
        raise InputError(message("registration-no-match"))


def _check_inside(similarity: Similarity, motion: Motion, mri: Head) -> None:
    """Raise InputError if a PET has the outline of the head, but nothing inside follows the MRI, as of a phantom."""
    inner = similarity.within(mri.brain_centre, _INNER_MM)
    if not inner.count:
        return
    if inner.correlation_ratio(motion) < _LEAST_EXPLAINED and -inner.cost(motion)[0] < _LEAST_INNER_SIMILARITY:
        raise InputError(message("registration-no-match"))


class _Steps:
    """Count the steps of a registration, and stop it between two of them."""

    _ALL = 2 + _COARSE_STARTS + _FINE_STARTS

    def __init__(self, progress: Progress | None, cancelled: Callable[[], bool] | None) -> None:
        self._progress, self._cancelled, self._begun = progress, cancelled, 0

    def __call__(self) -> None:
        if self._cancelled and self._cancelled():
            raise CancelledError(message("registration-cancelled"))
        if self._progress:
            self._progress(self._begun, self._ALL)
        self._begun += 1

    def finish(self) -> None:
        """Report that all is done: fewer motions than planned may have differed."""
        if self._progress:
            self._progress(self._ALL, self._ALL)
