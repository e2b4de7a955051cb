"""The legend of the colour volume in Slicer's slice views."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer")
pytest.importorskip("PySide6")

from cspadn.imaging.color import legend as table
from nodes import import_scene, node_of, scene_as_text


@pytest.fixture
def fused(logic, pair):
    """A result of the module, as far as the legend looks at it."""
    import slicer

    from CSpADNFusionLib.scene import color_legend

    pet, result = node_of(pair[0], "PET"), node_of(pair[1], "fused")
    color = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "color")
    slicer.util.updateVolumeFromArray(color, np.full((3, 4, 5, 3), 200, np.uint8))
    color.CreateDefaultDisplayNodes()
    color.GetDisplayNode().SetAutoWindowLevel(False)
    color.GetDisplayNode().SetWindowLevelMinMax(0, 255)
    result.SetNodeReferenceID("CSpADNFusionColor", color.GetID())
    result.SetNodeReferenceID("CSpADNFusionPET", pet.GetID())
    result.SetAttribute("CSpADNFusion.pet_window", "[0.5, 8.25]")
    result.SetAttribute("CSpADNFusion.palette", "PET-Rainbow")
    color_legend.update(result)
    return result


def _color(fused):
    return fused.GetNodeReference("CSpADNFusionColor")


def _legend(fused):
    from CSpADNFusionLib.scene.color_legend import legendOf

    return legendOf(_color(fused))


def _colors(legend) -> np.ndarray:
    lookup = legend.GetPrimaryDisplayNode().GetColorNode().GetLookupTable()
    return np.array([lookup.GetTableValue(level)[:3] for level in range(lookup.GetNumberOfTableValues())])


def _row(palette: str, weight: float) -> np.ndarray:
    return table(palette, 256, 256, weight)[round(0.35 * 255)] / 255


def test_the_legend_shows_the_colours_over_the_window_of_the_pet(fused) -> None:
    legend = _legend(fused)
    display = legend.GetPrimaryDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.5, 8.25)
    assert legend.GetLabelFormat() == "%.1f"
    np.testing.assert_allclose(_colors(legend), _row("PET-Rainbow", 1), atol=1e-6)
    assert legend.GetTitleText() == "PET"


def test_the_picture_itself_is_displayed_as_before(fused) -> None:
    display = _color(fused).GetDisplayNode()
    assert display.IsA("vtkMRMLVectorVolumeDisplayNode")
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 255)
    assert display is not _legend(fused).GetPrimaryDisplayNode()
    assert _legend(fused).GetPrimaryDisplayNode().GetDisplayableNode() is _color(fused)  # shown where that is shown


def test_the_legend_follows_palette_weight_and_units(fused) -> None:
    import slicer

    from CSpADNFusionLib.scene import color_legend

    legend = _legend(fused)
    legend.SetVisibility(False)  # by the user
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("{SUVbw}g/ml", "UCUM", "SUVbw")
    slicer.util.getNode("PET").SetVoxelValueUnits(units)
    fused.SetAttribute("CSpADNFusion.palette", "Heated")
    fused.SetAttribute("CSpADNFusion.pet_weight", "0.25")
    color_legend.update(fused)
    assert _legend(fused) is legend
    np.testing.assert_allclose(_colors(legend), _row("Heated", 0.25), atol=1e-6)
    assert legend.GetTitleText() == "PET\nSUVbw"
    assert not legend.GetVisibility()


def test_a_saved_scene_has_no_legend_and_gets_one_when_it_is_shown(fused) -> None:
    import slicer

    from CSpADNFusionLib.scene import color_legend

    scene = slicer.mrmlScene
    saved = scene_as_text(scene)
    scene.Clear(0)
    import_scene(scene, saved)
    loaded = slicer.util.getNode("fused")
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 0
    assert _color(loaded).GetNumberOfDisplayNodes() == 1
    color_legend.update(loaded)
    np.testing.assert_allclose(_colors(_legend(loaded)), _row("PET-Rainbow", 1), atol=1e-6)


def test_without_a_colour_volume_there_is_no_legend(fused, scene) -> None:
    from CSpADNFusionLib.scene import color_legend

    other = node_of(sitk.Image(3, 3, 3, sitk.sitkUInt8), "other")
    for name in ("CSpADNFusion.pet_window", "CSpADNFusion.palette"):
        other.SetAttribute(name, fused.GetAttribute(name))
    color_legend.update(other)
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 1
