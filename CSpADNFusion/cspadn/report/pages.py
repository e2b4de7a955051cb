"""The page of a pair: a viewer of all slices, key slices, metrics, windows, provenance. Needs jinja2, matplotlib, pillow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cspadn.palettes import DEFAULT_PALETTE
from cspadn.report.templates import explanations, number_text, rendered
from cspadn.units import shown_units

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk
    from numpy.typing import NDArray

    from cspadn.fusion import FusionResult
    from cspadn.metrics import VolumeScores
    from cspadn.registration import Registration
    from cspadn.report.scene import Scene

_SOURCES = {"mri": ("PET", "MRI"), "pet": ("MRI", "PET")}  # by the grid: the volume that was interpolated, the one kept
MODES = {
    "color": "Fused, colour",
    "fused": "Fused, grey",
    "blend": "Blend",
    "pet": "PET",
    "mri": "MRI",
    "outlines": "MRI outlines on the PET",
    "before": "Outlines before the registration",
    "checker": "Checkerboard",
}


def subject_page(
    pet: sitk.Image,
    mri: sitk.Image,
    result: FusionResult,
    scores: VolumeScores | None,
    *,
    title: str,
    palette: str = DEFAULT_PALETTE,
    index: str | None = None,
) -> str:
    """Return the page of one fusion: a viewer in three planes, windows, metrics, warnings and provenance.

    Args:
        pet, mri: as given to :func:`cspadn.fuse`.
        result: the result of the fusion.
        scores: from :func:`cspadn.metrics.measure_fusion`; None: the page states that nothing was measured.
        title: name of the subject.
        palette: for the PET over the MRI and for the colour volume, one of :data:`cspadn.palettes.PALETTES`.
        index: relative path, with "/", from the page to the page of the group; None: no group.
    """
    scene = scene_of_result(pet, mri, result, palette)
    return page_of_scene(scene, result, scores, title=title, palette=palette, index=index)


def scene_of_result(pet: sitk.Image, mri: sitk.Image, result: FusionResult, palette: str) -> Scene:
    """Prepare a fusion for its page and its thumbnail; arguments as for :func:`subject_page`."""
    from cspadn.report.scene import scene_of

    before = None if result.registration is None else pet
    return scene_of(result.placed(pet), mri, result.image, result.provenance, palette, before=before)


def page_of_scene(
    scene: Scene, result: FusionResult, scores: VolumeScores | None, *, title: str, palette: str, index: str | None = None
) -> str:
    """Return the page as :func:`subject_page`, of a scene that was made with the same palette."""
    return rendered(
        "subject.html.j2",
        title=title,
        index=index,
        alignment={"text": alignment_text(result), "suspect": result.alignment.is_suspect},
        warnings=result.warnings,
        **viewer_values(scene, result.provenance, palette, tuple(MODES)),
        palette=palette,
        histograms=_histograms(scene, result.provenance),
        scores=None if scores is None else _scores(scores),
        provenance=[(name, _shown(value)) for name, value in result.provenance.items()],
    )


def viewer_values(scene: Scene, provenance: Mapping[str, Any], palette: str, modes: Sequence[str]) -> dict[str, Any]:
    """Return the values for the templates of the viewer and of the key slices.

    Args:
        scene: the fusion.
        provenance: contains the windows, the grid and, if known, the PET's units.
        palette: one of :data:`cspadn.palettes.PALETTES`.
        modes: keys of :data:`MODES`; the first is shown initially.
    """
    from cspadn.report.key_slices import PICTURES, key_slices
    from cspadn.report.lattice import CUTS
    from cspadn.report.viewer import viewer_data

    moving, keeper = _SOURCES[provenance["grid"]]
    units = shown_units(provenance.get("pet_units"))
    viewer = viewer_data(scene, palette, units)
    pictures = {name: text for name, text in PICTURES.items() if name in modes}
    return {
        "viewer": viewer,
        "modes": {mode: MODES[mode] for mode in modes if mode != "before" or scene.before is not None},
        "cuts": CUTS,
        "units": units,
        "hottest": [_value_text(place["value"]) for place in viewer["scene"]["hottest"]],
        "hottest_points": [_point_text(place["point"]) for place in viewer["scene"]["hottest"]],
        "key_slices": key_slices(scene, palette, tuple(pictures)),
        "key_pictures": pictures,
        "shown": "fused volume" if "fused" in modes else "MRI",
        "oblique": not scene.lattice.aligned,
        "finer": scene.lattice.finer,
        "bordered": scene.has_border,
        "moving": moving,
        "keeper": keeper,
        "gradient": _gradient(palette),
        "legend": _legend(palette, provenance),
    }


def alignment_text(result: FusionResult) -> str:
    """Describe the alignment of PET and MRI, for the top of a page."""
    if result.registration is not None:
        return registration_text(result.registration)
    alignment, by = result.alignment, ""
    if "registration" in result.provenance:
        by = f" (registered by {result.provenance['registration']})"
    if alignment.displacement_mm is None or alignment.rotation_degrees is None:
        return f"Alignment: not determined ({alignment.reason}){by}"
    verdict = "Not aligned" if alignment.is_suspect else "Aligned"
    return f"{verdict}: PET and MRI are {alignment.displacement_mm:.1f} mm and {alignment.rotation_degrees:.1f}° apart{by}"


def registration_text(registration: Registration) -> str:
    """Describe how far a registration has moved the PET."""
    moved = f"{registration.displacement_mm:.1f} mm and {registration.rotation_degrees:.1f}°"
    return f"Alignment: the PET was registered to the MRI, and moved by {moved}"


def _gradient(palette: str) -> str:
    """Return the colours of the palette as a CSS list."""
    import numpy as np

    from cspadn.imaging.color import palette_of

    colors = np.rint(palette_of(palette)[::15] * 255).astype(int)
    return ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colors)


def _legend(palette: str, provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of the legend: colours, and the ends of the windows, with the PET's units if known."""
    from cspadn.imaging.color import legend
    from cspadn.imaging.windowing import end_texts
    from cspadn.report.viewer import picture_url

    (lower, upper), (mri_lower, mri_upper) = (end_texts(provenance[f"{kind}_window"]) for kind in ("pet", "mri"))
    units = shown_units(provenance.get("pet_units"))
    return {
        "source": picture_url(legend(palette)),
        "lower": lower,
        "upper": upper,
        "mri_lower": mri_lower,
        "mri_upper": mri_upper,
        "uptake": f"uptake ({units})" if units else "uptake",
    }


def _histograms(scene: Scene, provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    from cspadn.imaging.windowing import end_texts
    from cspadn.report.plots import histogram

    shown = []
    for name, sampled in (("PET", scene.survey.pet), ("MRI", scene.survey.mri)):
        kind, values = name.lower(), scene.survey.seen(sampled)
        lower, upper = provenance[f"{kind}_window"]
        lower_text, upper_text = end_texts((lower, upper))
        units = shown_units(provenance.get(f"{kind}_units"))
        label = f"{name} ({units})" if units else f"{name}, in the volume's units"
        shown.append(
            {
                "name": name,
                "lower": lower_text,
                "upper": upper_text,
                "units": f" {units}" if units else "",
                "below": _share(values < lower),
                "above": _share(values > upper),
                "plot": histogram(values, (lower, upper), label=label, key=kind),
            }
        )
    return shown


def _share(found: NDArray[np.bool_]) -> str:
    return f"{found.mean() if found.size else 0:.1%}"


def _scores(scores: VolumeScores) -> dict[str, Any]:
    from cspadn.report.plots import curves

    names = list(scores.mean)
    counted = [row for row in scores.slices if row.counted]
    series = {name: [row.scores[name] for row in scores.slices] for name in names}
    positions = [row.position for row in scores.slices]
    label = "mm towards the head"
    return {
        "names": names,
        "explanations": explanations(names),
        "counted": len(counted),
        "means": [number_text(value) for value in scores.mean.values()],
        "plot": curves(positions, series, label=label, key="metrics") if counted else "",
        "rows": [
            [str(row.index), f"{row.position:.1f}", *(number_text(row.scores[name]) for name in names)]
            for row in scores.slices
        ],
    }


def _value_text(value: float) -> str:
    """Format a value with four digits, without an exponent unless it is very large: "25310", "6.482"."""
    return f"{float(f'{value:.4g}'):.7g}"


def _point_text(point: Sequence[float]) -> str:
    """Return a point (LPS, mm) by the sides of the patient: "17.5 mm L, 11.8 mm P, 141.2 mm S"."""
    from cspadn.report.lattice import CUTS, place_text

    cuts = sorted(CUTS, key=lambda cut: cut.axis)
    return ", ".join(place_text(point[cut.axis], cut).partition(" (")[0] for cut in cuts)


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(each) for each in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
