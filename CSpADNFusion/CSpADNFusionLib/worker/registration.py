"""Clients of worker processes that register a PET to an MRI, or check their alignment: ``python -m cspadn register``."""

from typing import Any, NamedTuple

import SimpleITK as sitk

from CSpADNFusionLib.messages import message
from CSpADNFusionLib.worker.pair_worker import PairWorker

TRANSFORM_FILE = "pet_to_mri.tfm"


class RegistrationOutput(NamedTuple):
    """The result of a registration.

    :ivar matrix: list of the 16 numbers of :func:`cspadn.registration.placing.matrix_of`: from a point of the MRI to the point
        of the PET, mm, LPS.
    :ivar provenance: dictionary, as of :meth:`cspadn.registration.Registration.provenance`, without the matrix.
    """

    matrix: Any
    provenance: Any


class AlignmentOutput(NamedTuple):
    """The result of a check of the alignment.

    :ivar millimetres, degrees: how far the PET is from where registration would put it; None if it was not determined.
    :ivar suspect: whether that is so far that the pair should be registered.
    """

    millimetres: Any
    degrees: Any
    suspect: bool


class RegistrationWorker(PairWorker):
    """Register in a worker process; the result is a :class:`RegistrationOutput`."""

    def arguments(self, pet, mri, folder):
        """Return the arguments of ``cspadn register``."""
        return ["register", pet, mri, "--output", f"{folder}/{TRANSFORM_FILE}"]

    def result(self):
        """Return the :class:`RegistrationOutput`."""
        from cspadn.registration.placing import matrix_of

        provenance = dict(self.finished["provenance"])
        provenance.pop("registration_matrix")  # of which the event has fewer digits
        return RegistrationOutput(matrix_of(sitk.ReadTransform(str(self.folder / TRANSFORM_FILE))), provenance)

    def killed(self):
        """Return the sentence about a registration that the system has killed."""
        return message("registration-killed")

    def crashed(self, code):
        """Return the sentence about a registration that has ended without a message."""
        return message("registration-crashed", code=code)


class AlignmentWorker(RegistrationWorker):
    """Check the alignment in a worker process; the result is an :class:`AlignmentOutput`."""

    def arguments(self, pet, mri, _folder):
        """Return the arguments of ``cspadn register --check``."""
        return ["register", pet, mri, "--check"]

    def result(self):
        """Return the :class:`AlignmentOutput`."""
        return AlignmentOutput(*(self.finished[name] for name in ("millimetres", "degrees", "suspect")))
