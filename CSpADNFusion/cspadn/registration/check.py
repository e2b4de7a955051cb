"""Check whether a PET and an MRI lie on each other, by a short registration from where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from cspadn.errors import InputError
from cspadn.messages import Sentence, message
from cspadn.registration.head import Head
from cspadn.registration.rigid import LEAST_SIMILARITY
from cspadn.registration.search import COARSE, FINE, aligned_heads, best_of, refined, similarity_of
from cspadn.registration.similarity import Motion

WARNED_MM, WARNED_DEGREES = 3.0, 4.0  # from here on the user is warned
NO_HEAD, NO_MATCH = "no head was recognised in one of the volumes", "the volumes are not similar enough"
_STARTS = 2


@dataclass(frozen=True)
class Alignment:
    """How far a PET is from where registration would put it.

    Attributes:
        displacement_mm: mean over the points of the brain; None if it was not determined.
        rotation_degrees: angle; None if it was not determined.
        reason: why it was not determined; None if it was.
    """

    displacement_mm: float | None = None
    rotation_degrees: float | None = None
    reason: str | None = None

    @property
    def is_suspect(self) -> bool:
        """Return whether the displacement is so large that the pair should be registered first."""
        if self.displacement_mm is None or self.rotation_degrees is None:
            return False
        return self.displacement_mm >= WARNED_MM or self.rotation_degrees >= WARNED_DEGREES

    def warnings(self) -> list[Sentence]:
        """Return a warning if the displacement is large."""
        if not self.is_suspect:
            return []
        return [message("pair-misaligned", millimetres=self.displacement_mm, degrees=self.rotation_degrees)]

    def sentence(self) -> Sentence:
        """Return a sentence with the displacement, or why it is not known."""
        if self.displacement_mm is None or self.rotation_degrees is None:
            return message("alignment-unknown", reason=self.reason)
        return message("alignment-checked", millimetres=self.displacement_mm, degrees=self.rotation_degrees)

    def provenance(self) -> dict[str, object]:
        """Return the result as entries of the provenance."""
        if self.displacement_mm is None or self.rotation_degrees is None:
            return {"alignment": f"not determined: {self.reason}"}
        return {
            "alignment_mm": round(self.displacement_mm, 2),
            "alignment_degrees": round(self.rotation_degrees, 2),
        }


NOT_CHECKED = Alignment(reason="the check was skipped")
REGISTERED = Alignment(reason="the volumes were registered")


def check_alignment(pet: sitk.Image, mri: sitk.Image) -> Alignment:
    """Measure how far a PET is from where registration would put it.

    The search starts from where the pair lies, and from the heads placed on each other without a rotation, so that it also
    finds a large displacement. Small volumes, and volumes that do not look like one head, give no result but a reason.

    Args:
        pet, mri: scalar volumes.
    """
    try:
        return _checked(Head.of(pet, "The PET"), Head.of(mri, "The MRI"))
    except InputError:
        return Alignment(reason=NO_HEAD)


def _checked(pet: Head, mri: Head) -> Alignment:
    coarse = similarity_of(pet, mri, COARSE)
    moves = [np.zeros(3), *aligned_heads(pet, mri)]
    starts = [Motion(np.concatenate([np.zeros(3), move]), mri.centre) for move in moves]
    rough = refined(coarse, best_of(coarse, starts, _STARTS), lambda: None)
    if -rough[0].cost < LEAST_SIMILARITY:
        return Alignment(reason=NO_MATCH)
    best = refined(similarity_of(pet, mri, FINE), [rough[0].motion], lambda: None)[0]
    return Alignment(float(best.motion.displacements(mri.brain_points()).mean()), best.motion.degrees)
