"""Rigid registration of a PET to an MRI of the same head, and the check whether the two are registered."""

from cspadn.registration.check import Alignment, check_alignment
from cspadn.registration.rigid import Registration, register

__all__ = ["Alignment", "Registration", "check_alignment", "register"]
