"""Nodes to images and back, and the logic, on a real MRML scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import InputError
from cspadn.imaging.metadata import notes_of
from cspadn.imaging.windowing import FUSED_MAXIMUM
from message_calls import identifiers, raises
from nodes import RAS_TO_LPS, ijk_to_lps, import_scene, node_of, rigid, scene_as_text, transform_of, warp_of
from volumes import blobs, volume


def _array(node) -> np.ndarray:
    import slicer

    return slicer.util.arrayFromVolume(node).copy()


def _matrix(node) -> np.ndarray:
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def test_nodes_give_what_files_give(logic, pair) -> None:
    import cspadn

    pet, mri = pair
    fused = logic.fuse(node_of(pet, "PET"), node_of(mri, "MRI"))
    expected = sitk.GetArrayFromImage(cspadn.fuse(pet, mri).image)
    np.testing.assert_allclose(_array(fused), expected, atol=1e-4 * FUSED_MAXIMUM)


def test_the_real_pair_with_a_pet_that_a_transform_registers(logic, shared: Path) -> None:
    """A parent transform brings back a displaced PET node: the fused volume is the same."""
    import cspadn

    folder = shared / "data" / "volumes" / "aanlib"
    pet = sitk.ReadImage(str(folder / "PET_axial.nii.gz"))
    mri = sitk.ReadImage(str(folder / "MRI_axial.nii.gz"))[::3, ::3, 44:48]
    balanced = {"model": "cspadn-paper"}  # shows the PET the most, so that one that lies elsewhere is seen
    expected = sitk.GetArrayFromImage(cspadn.fuse(pet, mri, cspadn.FusionSettings(**balanced)).image)
    shift = np.array([17.25, -8.5, 31.0])  # LPS
    moved = sitk.Image(pet)
    moved.SetOrigin((np.array(pet.GetOrigin()) + shift).tolist())
    pet_node, mri_node = node_of(moved, "PET"), node_of(mri, "MRI")
    astray = _array(logic.fuse(pet_node, mri_node, **balanced))
    back = np.eye(4)
    back[:3, 3] = -shift * [-1, -1, 1]  # RAS
    pet_node.SetAndObserveTransformNodeID(transform_of(back).GetID())
    fused = _array(logic.fuse(pet_node, mri_node, **balanced))
    assert np.abs(fused - expected).max() <= 1e-4 * FUSED_MAXIMUM
    assert np.abs(astray - expected).max() > 0.2 * FUSED_MAXIMUM


@pytest.mark.parametrize("mri_moves", [False, True])
def test_chains_of_transforms(logic, pair, mri_moves: bool) -> None:
    """The PET has two rigid transforms, the MRI one: only their difference counts."""
    import cspadn

    pet, mri = pair
    world = rigid(25, (30, -12, 7)) if mri_moves else np.eye(4)
    outer, inner = rigid(10, (5, 6, -3)), rigid(-7, (-4, 9, 2))
    pet_node, mri_node = node_of(pet, "PET"), node_of(mri, "MRI")
    # The PET's stored position is such that outer * inner puts it to its right place in the MRI's world.
    stored = np.linalg.inv(outer @ inner) @ world @ _matrix(pet_node)
    import slicer

    pet_node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(stored))
    outer_node, inner_node = transform_of(outer, "outer"), transform_of(inner, "inner")
    inner_node.SetAndObserveTransformNodeID(outer_node.GetID())
    pet_node.SetAndObserveTransformNodeID(inner_node.GetID())
    if mri_moves:
        mri_node.SetAndObserveTransformNodeID(transform_of(world, "world").GetID())
    fused = logic.fuse(pet_node, mri_node)
    expected = sitk.GetArrayFromImage(cspadn.fuse(pet, mri).image)
    assert np.abs(_array(fused) - expected).max() <= 1e-4 * FUSED_MAXIMUM
    assert fused.GetTransformNodeID() == mri_node.GetTransformNodeID()


def test_a_transform_that_scales_and_shears(logic) -> None:
    """An affine parent transform of the PET moves a ramp to the right position."""
    from cspadn.imaging.geometry import resample
    from CSpADNFusionLib.scene import volumes

    z, y, x = np.meshgrid(np.arange(12.0), np.arange(14.0), np.arange(16.0), indexing="ij")
    pet_node = node_of(volume(x + 20 * y + 400 * z), "PET")
    affine = np.array([[1.1, 0.2, 0, 1], [0, 0.9, 0.1, -2], [0.05, 0, 1.2, 0.5], [0, 0, 0, 1]])
    pet_node.SetAndObserveTransformNodeID(transform_of(affine).GetID())
    mri = volume(np.zeros((3, 3, 3), np.float32), spacing=(1.5, 1.5, 1.5), origin=(5, 5, 5))
    pet_image, mri_image = volumes.imagesFromVolumeNodes(pet_node, node_of(mri, "MRI"))
    values = sitk.GetArrayFromImage(resample(pet_image, mri_image))
    ijk = np.array([1, 2, 0, 1])  # of the MRI
    ras = RAS_TO_LPS @ ijk_to_lps(mri) @ ijk
    column, row, slice_ = (np.linalg.inv(affine @ RAS_TO_LPS @ np.eye(4)) @ ras)[:3]
    assert values[0, 2, 1] == pytest.approx(column + 20 * row + 400 * slice_, abs=1e-3)


def test_fused_node_is_ready_to_use(logic, pair) -> None:
    pet_node, mri_node = node_of(pair[0], "FDG"), node_of(pair[1], "T1")
    fused = logic.fuse(pet_node, mri_node)
    assert fused.GetName() == "Fused T1-FDG"
    np.testing.assert_array_equal(_matrix(fused), _matrix(mri_node))
    assert len(fused.GetAttribute("CSpADNFusion.model_sha256")) == 64
    assert "not for diagnosis" in fused.GetDescription()
    display = fused.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, FUSED_MAXIMUM)
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeGrey"
    assert logic.fuse(pet_node, mri_node).GetName() == "Fused T1-FDG_1"


def test_fused_node_joins_the_mri_in_the_subject_hierarchy(logic, pair, scene) -> None:
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    mri_node = node_of(pair[1], "MRI")
    hierarchy.CreateItem(study, mri_node)
    output = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "out")
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), output)
    logic.fuse(node_of(pair[0], "PET"), mri_node, output)
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(output))
    assert (hierarchy.GetItemParent(folder), hierarchy.GetItemName(folder)) == (study, "out")


def test_given_output_is_filled_and_settings_are_used(logic, pair, scene) -> None:
    output = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "mine")
    seen: list[int] = []
    fused = logic.fuse(
        node_of(pair[0], "PET"),
        node_of(pair[1], "MRI"),
        output,
        pet_window=(0, 55),
        progress=lambda done, _total: seen.append(done),
    )
    assert fused is output
    assert fused.GetAttribute("CSpADNFusion.pet_window") == "[0.0, 55.0]"
    assert seen == list(range(1, 9))


def _state(scene) -> list[tuple[str, str, int]]:
    nodes = [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())]
    return [(node.GetID(), node.GetName(), node.GetMTime()) for node in nodes]


def test_a_failure_leaves_the_scene_as_it_was(logic, pair, scene) -> None:
    pet, mri = pair
    pet.SetOrigin((9999, 0, 0))
    pet_node, mri_node = node_of(pet, "PET"), node_of(mri, "MRI")
    output = node_of(volume(blobs((2, 3, 4))), "output")
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    before = _state(scene)
    with raises(InputError, "no-overlap"):
        logic.fuse(pet_node, mri_node, output)
    with raises(InputError, "node-without-voxels", name="empty"):
        logic.fuse(empty, mri_node)
    with raises(InputError, "output-node-is-input"):
        logic.fuse(pet_node, mri_node, mri_node)
    assert _state(scene) == before


@pytest.mark.parametrize("grid", ["mri", "pet"])
def test_a_non_linear_transform_that_only_shifts_is_a_shift(logic, pair, scene, grid: str) -> None:
    shift = np.array([3.0, -2.0, 2.5])  # RAS
    windows = {"pet_window": (0, 100), "mri_window": (0, 100)}
    fused = []
    for moved in (warp_of(scene, lambda _: shift), transform_of(rigid(0, shift)).GetID()):
        pet_node, mri_node = node_of(pair[0], "PET"), node_of(pair[1], "MRI")
        pet_node.SetAndObserveTransformNodeID(moved)
        node = logic.fuse(pet_node, mri_node, grid=grid, **windows)
        assert node.GetTransformNodeID() == (moved if grid == "pet" else None)
        fused.append(_array(node))
    np.testing.assert_allclose(fused[0], fused[1], atol=1e-4 * FUSED_MAXIMUM)
    unmoved = _array(logic.fuse(node_of(pair[0], "PET"), node_of(pair[1], "MRI"), grid=grid, **windows))
    assert np.abs(unmoved - fused[0]).max() > 0.05 * FUSED_MAXIMUM


def test_non_linear_transforms_move_each_voxel(logic, pair, scene) -> None:
    """Compare with SimpleITK, which interpolates the PET at the points that VTK computes for each voxel."""
    from CSpADNFusionLib.scene import volumes

    pet_node, mri_node = node_of(pair[0], "PET"), node_of(pair[1], "MRI")
    pet_node.SetAndObserveTransformNodeID(warp_of(scene, lambda i: 1.0 * i))
    warped, mri = volumes.imagesFromVolumeNodes(pet_node, mri_node)
    to_pet = pet_node.GetParentTransformNode().GetTransformFromParent()
    values, size = sitk.GetArrayFromImage(warped), mri.GetSize()
    inside = 0
    for index in ((i, j, k) for i in range(0, size[0], 3) for j in range(0, size[1], 3) for k in range(0, size[2], 2)):
        x, y, z = to_pet.TransformDoublePoint(*(np.array(mri.TransformIndexToPhysicalPoint(index)) * [-1, -1, 1]))
        place = pair[0].TransformPhysicalPointToContinuousIndex((-x, -y, z))
        if all(0 <= each <= extent - 1 for each, extent in zip(place, pair[0].GetSize(), strict=True)):
            expected = pair[0].EvaluateAtContinuousIndex(place, sitk.sitkLinear)
            assert values[index[::-1]] == pytest.approx(expected, abs=0.02)  # the spline is inverted iteratively
            inside += 1
    assert inside > 100
    assert np.isnan(values).any()


def test_padding_is_not_spread_by_a_non_linear_transform(logic, pair, scene) -> None:
    from CSpADNFusionLib.scene import volumes

    padded = sitk.GetArrayFromImage(pair[0])
    padded[:, :3] = -32768
    image = sitk.GetImageFromArray(padded)
    image.CopyInformation(pair[0])
    pet_node, mri_node = node_of(image, "PET"), node_of(pair[1], "MRI")
    pet_node.SetAndObserveTransformNodeID(warp_of(scene, lambda i: 1.0 * i))
    warped, _ = volumes.imagesFromVolumeNodes(pet_node, mri_node)
    assert np.nanmin(sitk.GetArrayViewFromImage(warped)) >= sitk.GetArrayViewFromImage(pair[0]).min()


def test_volumes_under_one_non_linear_transform_are_fused_as_without(logic, pair, scene) -> None:
    warp = warp_of(scene, lambda i: 1.0 * i)
    pet_node, mri_node = node_of(pair[0], "PET"), node_of(pair[1], "MRI")
    expected = _array(logic.fuse(pet_node, mri_node))
    for node in (pet_node, mri_node):
        node.SetAndObserveTransformNodeID(warp)
    fused = logic.fuse(pet_node, mri_node)
    np.testing.assert_array_equal(_array(fused), expected)
    assert fused.GetTransformNodeID() == warp


def test_a_colour_volume_lies_beside_the_fused_one(logic, pair, scene) -> None:
    pet_node, mri_node = node_of(pair[0], "PET"), node_of(pair[1], "MRI")
    fused = logic.fuse(pet_node, mri_node, palette="PET-HotMetalBlue")
    color = scene.GetFirstNodeByName("Fused MRI-PET color")
    assert color.IsA("vtkMRMLVectorVolumeNode")
    assert color.GetAttribute("CSpADNFusion.palette") == "PET-HotMetalBlue"
    np.testing.assert_array_equal(_matrix(color), _matrix(fused))
    rgb = _array(color)
    assert rgb.dtype == np.uint8
    assert np.ptp(rgb.astype(int), axis=-1).max() > 60
    display = color.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax(), display.GetAutoWindowLevel()) == (0, 255, 0)
    fused.SetAttribute("CSpADNFusion.pet_series_uid", "1.2.3")  # of an earlier run with another PET
    logic.fuse(pet_node, mri_node, fused, color)  # once more, into the same nodes
    assert color.GetAttribute("CSpADNFusion.palette") == "Heated"
    assert fused.GetAttribute("CSpADNFusion.pet_series_uid") is None
    with raises(InputError, "colour-node-not-a-vector-volume"):
        logic.fuse(pet_node, mri_node, colorOutputNode=mri_node)
    with raises(InputError, "colour-node-is-used"):
        logic.fuse(pet_node, mri_node, colorOutputNode=color, outputNode=color)


def test_names_of_the_nodes_are_in_the_provenance(logic, pair) -> None:
    fused = logic.fuse(node_of(pair[0], "uptake"), node_of(pair[1], "anatomy"))
    assert fused.GetAttribute("CSpADNFusion.pet_source") == "uptake"
    assert fused.GetAttribute("CSpADNFusion.mri_source") == "anatomy"
    assert fused.GetAttribute("CSpADNFusion.grid") == "mri"


def test_the_library_has_the_palettes_of_mrml(scene) -> None:
    import slicer

    from cspadn.imaging.color import palette_of
    from cspadn.palettes import REGISTRY

    logic = slicer.vtkMRMLColorLogic()
    logic.SetMRMLScene(scene)
    logic.AddDefaultColorNodes()
    for name in (palette.name for palette in REGISTRY if palette.in_slicer):
        function = scene.GetNodeByID(f"vtkMRMLPETProceduralColorNode{name}").GetColorTransferFunction()
        expected = [function.GetColor(level) for level in range(256)]
        np.testing.assert_allclose(palette_of(name), expected, atol=2e-6)
    logic.RemoveDefaultColorNodes()


def test_a_palette_that_slicer_lacks_becomes_one_colour_node(pair, scene) -> None:
    from cspadn.imaging.color import palette_of
    from CSpADNFusionLib.scene.palettes import showInPalette

    first, second = node_of(pair[0], "PET"), node_of(pair[0], "PET 2")
    for node in (first, second, first):
        showInPalette(node, "Heated")
    table = first.GetDisplayNode().GetColorNode()
    assert table.IsA("vtkMRMLColorTableNode")
    assert (table.GetName(), table.GetNumberOfColors()) == ("Heated", 256)
    assert second.GetDisplayNode().GetColorNode() is table
    found = []
    for level in range(256):
        rgba = [0.0] * 4
        assert table.GetColor(level, rgba)
        found.append(rgba[:3])
    np.testing.assert_allclose(found, palette_of("Heated"), atol=0.51 / 255)


def test_a_palette_comes_back_from_a_scene_without_its_files(logic, pair, scene) -> None:
    """Of which Slicer keeps the colours in a file of their own."""
    from cspadn.imaging.color import palette_of
    from CSpADNFusionLib.scene.palettes import showInPalette

    showInPalette(node_of(pair[0], "PET"), "Heated")
    saved = scene_as_text(scene)
    scene.Clear(0)
    import_scene(scene, saved)
    import slicer

    lookup = slicer.util.getNode("PET").GetDisplayNode().GetColorNode().GetLookupTable()
    colors = [lookup.GetTableValue(level)[:3] for level in range(lookup.GetNumberOfTableValues())]
    np.testing.assert_allclose(colors, palette_of("Heated"), atol=0.003)  # 8 bits


def test_vector_volumes_are_refused(logic, pair, scene) -> None:
    import slicer

    vector = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "RGB")
    slicer.util.updateVolumeFromArray(vector, np.zeros((3, 4, 5, 3), np.uint8))
    with raises(InputError, "volume-not-scalar", components=3):
        logic.fuse(vector, node_of(pair[1], "MRI"))


@pytest.mark.parametrize(
    ("codes", "shift", "identifier"),
    [((2, 1), 20, "node-not-at-sform"), ((1, 1), 20, None), ((2, 1), 0, None), ((0, 0), 0, "node-without-position")],
)
def test_nodes_of_nifti_files_that_lie_elsewhere_are_a_warning(scene, pair, codes, shift, identifier, tmp_path: Path) -> None:
    """Slicer loads such files with ITK, as SimpleITK does."""
    from CSpADNFusionLib.scene.volumes import imagesFromVolumeNodes

    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(sitk.GetArrayFromImage(pair[0]).T, None)
    qform = np.diag([-1, -1, 1, 1]) @ ijk_to_lps(pair[0])
    sform = qform.copy()
    sform[0, 3] += shift
    image.header.set_qform(qform, codes[1])
    image.header.set_sform(sform, codes[0])
    nibabel.save(image, tmp_path / "pet.nii")
    loaded = sitk.ReadImage(str(tmp_path / "pet.nii"))
    node = node_of(loaded, "PET")
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName(str(tmp_path / "pet.nii"))
    warned, plain = imagesFromVolumeNodes(node, node_of(pair[1], "MRI"))
    assert identifiers(notes_of(warned)) == ([identifier] if identifier else [])
    assert notes_of(plain) == []
    if shift and identifier:
        assert "20.0 mm" in notes_of(warned)[0]
