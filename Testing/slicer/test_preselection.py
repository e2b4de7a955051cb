"""The volumes that the panel selects when it opens."""

from __future__ import annotations

import types

import numpy as np
import pytest
import SimpleITK as sitk

from head_phantom import phantom_mri, phantom_pet
from nodes import node_of
from repository import MODULE_FILE
from slicer_application import application
from volumes import blobs, volume

pytestmark = pytest.mark.usefixtures("inline_worker")


def _chosen() -> tuple:
    panel = application.openModule(MODULE_FILE)
    nodes = panel.ui.petSelector.currentNode(), panel.ui.mriSelector.currentNode()
    return tuple(node.GetName() if node else None for node in nodes)


def _volume(name: str, seed: int = 1) -> None:
    node_of(volume(blobs(seed=seed), spacing=(2, 2, 3)), name)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("sub-01_FDG-PET", "sub-01_T1w"), ("sub-01_FDG-PET", "sub-01_T1w")),
        (("3: T2 FLAIR", "5: SUV mean"), ("5: SUV mean", "3: T2 FLAIR")),
        (("MRI", "MR 2", "PT"), ("PT", "MRI")),
        (("PET-MR", "CT"), (None, None)),
        (("pet",), ("pet", None)),
        ((), (None, None)),
    ],
)
def test_by_name(scene, names: tuple[str, ...], chosen: tuple) -> None:
    for seed, name in enumerate(names):
        _volume(name, seed)
    assert _chosen() == chosen


def test_the_dicom_modality_counts_before_the_name(scene, monkeypatch) -> None:
    import slicer

    modalities = {"1": "MR", "2": "PT", "3": "CT"}
    database = types.SimpleNamespace(instanceValue=lambda uid, tag: modalities[uid] if tag == "0008,0060" else "")
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    for name, uid in (("PET of the head", "1"), ("T1", "2"), ("third", "3")):
        _volume(name)
        slicer.mrmlScene.GetFirstNodeByName(name).SetAttribute("DICOM.instanceUIDs", uid)
    assert _chosen() == ("T1", "PET of the head")


def test_by_what_they_look_like(scene) -> None:
    """Return an MRI with fine structure and a smooth PET, whose names do not identify them."""
    noise = np.random.default_rng(5).random(sitk.GetArrayViewFromImage(phantom_mri()).shape).astype(np.float32)
    mri = phantom_mri()
    fine = sitk.GetImageFromArray(sitk.GetArrayFromImage(mri) * (0.6 + 0.8 * noise))
    fine.CopyInformation(mri)
    node_of(fine, "first")
    node_of(phantom_pet(), "second")
    assert _chosen() == ("second", "first")


def test_results_are_not_chosen_and_a_choice_is_kept(scene, pair) -> None:
    import slicer

    for image, name in zip(pair, ("PET", "MRI"), strict=True):
        node_of(image, name)
    panel = application.openModule(MODULE_FILE)
    panel.logic.fuse(*(slicer.mrmlScene.GetFirstNodeByName(name) for name in ("PET", "MRI")))
    _volume("another MRI")
    panel.ui.mriSelector.setCurrentNode(slicer.mrmlScene.GetFirstNodeByName("another MRI"))
    panel.ui.petSelector.setCurrentNode(None)
    application.exitModule(panel)
    application.enterModule(panel)
    assert panel.ui.petSelector.currentNode().GetName() == "PET"
    assert panel.ui.mriSelector.currentNode().GetName() == "another MRI"
