"""What the slice views show, and Slicer's colour legends in them."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer")
pytest.importorskip("PySide6")

from nodes import node_of
from volumes import blobs, volume


@pytest.fixture
def pair_of_nodes(scene) -> tuple:
    """Return an MRI of 20 mm, and a PET whose field of view is 200 mm wide."""
    mri = node_of(volume(blobs((20, 20, 20)), spacing=(1, 1, 1), origin=(0, 0, 0)), "MRI")
    pet = node_of(volume(blobs((20, 20, 20)), spacing=(10, 10, 10), origin=(-90, -90, -90)), "PET")
    return mri, pet


def _red():
    import slicer

    return slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red")


def test_views_are_fitted_to_the_background_alone(pair_of_nodes) -> None:
    from CSpADNFusionLib.scene import slice_views

    mri, pet = pair_of_nodes
    slice_views.show(mri, pet, 0.5, fit=True)
    composite = _red().GetSliceCompositeNode()
    assert (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()) == (mri.GetID(), pet.GetID())
    assert composite.GetForegroundOpacity() == 0.5
    assert min(_red().GetSliceNode().GetFieldOfView()[:2]) == pytest.approx(20, abs=2)


def test_views_keep_their_place_if_nobody_asks_to_fit_them(pair_of_nodes) -> None:
    from CSpADNFusionLib.scene import slice_views

    _red().GetSliceNode().SetFieldOfView(17, 18, 1)
    slice_views.show(*pair_of_nodes, 0.0, fit=False)
    assert _red().GetSliceNode().GetFieldOfView() == (17, 18, 1)


def test_slicer_is_told_that_its_legends_may_have_changed(pair_of_nodes) -> None:
    """Slicer's manager of the legends looks at the volumes of a view only if the flags say that a user has chosen them."""
    from CSpADNFusionLib.scene import slice_views

    composite, told = _red().GetSliceCompositeNode(), []
    composite.SetInteractionFlags(0)
    composite.AddObserver("ModifiedEvent", lambda *_: told.append((composite.GetInteractionFlags(), _background(composite))))
    slice_views.show(*pair_of_nodes, 0.0, fit=False)
    assert (composite.BackgroundVolumeFlag | composite.ForegroundVolumeFlag | composite.LabelVolumeFlag, "MRI") in told
    assert composite.GetInteractionFlags() == 0


def _background(composite) -> str | None:
    import slicer

    node = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
    return node.GetName() if node else None
