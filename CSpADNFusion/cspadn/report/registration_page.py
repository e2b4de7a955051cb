"""HTML page of a registration: outlines of the MRI on the PET, before and after, and a checkerboard of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cspadn.palettes import DEFAULT_PALETTE

if TYPE_CHECKING:
    import SimpleITK as sitk

    from cspadn.registration import Registration

_SHOWN = ("outlines", "before", "checker", "blend", "pet", "mri")


def registration_page(pet: sitk.Image, mri: sitk.Image, result: Registration, *, title: str) -> str:
    """Return the page of one registration.

    Args:
        pet, mri: as given to :func:`cspadn.register`.
        result: the result of the registration.
        title: name of the registration.
    """
    from cspadn.imaging.automatic_windows import automatic_mri_window, automatic_pet_window
    from cspadn.imaging.geometry import to_axial
    from cspadn.report.pages import registration_text, viewer_values
    from cspadn.report.scene import scene_of
    from cspadn.report.templates import rendered

    registered, axial = result.placed(pet), to_axial(mri)
    windows = {"pet_window": automatic_pet_window(registered, axial), "mri_window": automatic_mri_window(axial)}
    provenance = {**windows, "grid": "mri"}
    scene = scene_of(registered, mri, mri, provenance, DEFAULT_PALETTE, before=pet)
    values = viewer_values(scene, provenance, DEFAULT_PALETTE, _SHOWN)
    return rendered("registration.html.j2", title=title, alignment=registration_text(result), result=result, **values)
