"""HTML page of a registration: outlines of the MRI on the PET, before and after, and a checkerboard of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cspadn.palettes import DEFAULT_PALETTE

if TYPE_CHECKING:
    import SimpleITK as sitk

    from cspadn.registration import Registration

_SHOWN = ("pet", "mri", "blend")


def registration_page(pet: sitk.Image, mri: sitk.Image, result: Registration, *, title: str) -> str:
    """Return the page of one registration.

    Args:
        pet, mri: as given to :func:`cspadn.register`.
        result: what it found.
        title: what the registration is called.
    """
    from cspadn.imaging.automatic_windows import automatic_mri_window, automatic_pet_window
    from cspadn.imaging.geometry import to_axial
    from cspadn.report.pages import rendered
    from cspadn.report.plane_panels import plane_panels
    from cspadn.report.planes import views_of

    registered, axial = result.placed(pet), to_axial(mri)
    windows = {"pet_window": automatic_pet_window(registered, axial), "mri_window": automatic_mri_window(axial)}
    views = views_of(registered, mri, mri, {**windows, "grid": "mri"}, before=pet)
    return rendered(
        "registration.html.j2",
        title=title,
        planes=[plane_panels(plane, DEFAULT_PALETTE, _SHOWN) for plane in views.planes],
        outlined=any(plane.border.any() for plane in views.planes),
        registered=True,
        result=result,
    )
