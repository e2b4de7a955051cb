"""A fused volume of the scene as a DICOM series, with the MRI and the PET in a database as Slicer's."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid

pytest.importorskip("slicer")
pytest.importorskip("PySide6")

from cspadn.errors import InputError, UsageError
from cspadn.imaging.metadata import PADDING
from cspadn.imaging.padding import declared_padding
from cspadn.io import dicom_reader, dicom_writer
from cspadn.io.dicom_writer.grey import SERIES_DESCRIPTION
from cspadn.registration.placing import matrix_of
from dicom_database import library_of, load
from dicom_files import write_pair, write_series
from message_calls import raises, says
from nodes import rigid, transform_of
from repository import MODULE_FILE
from slicer_application import application, records


@pytest.fixture
def loaded(scene, pair, tmp_path, monkeypatch):
    return load(
        (write_series(tmp_path / "pet", pair[0], "PT"), write_series(tmp_path / "mri", pair[1] * 10, "MR")), monkeypatch
    )


@pytest.mark.parametrize(("tags", "expected"), [({}, None), ({"PixelPaddingRangeLimit": -1990}, -1990.0)])
def test_padding_that_the_series_of_a_node_declares_is_known(pair, tmp_path: Path, monkeypatch, scene, tags, expected) -> None:
    from CSpADNFusionLib.scene import volumes

    pet = write_series(tmp_path / "pet", pair[0], "PT", PixelPaddingValue=0)
    mri = write_series(tmp_path / "mri", pair[1], "MR", PixelRepresentation=1, PixelPaddingValue=-2000, **tags)
    _, pet_node, mri_node = load([pet, mri], monkeypatch)
    mri_node.RemoveAttribute(PADDING)  # that the library's reader left
    pet_node.RemoveAttribute(PADDING)
    images = volumes.imagesFromVolumeNodes(pet_node, mri_node)
    assert declared_padding(images[0]) is None
    assert declared_padding(images[1]) == (-2000.0, expected or -2000.0)


def test_a_series_is_written_into_the_study_of_the_mri(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode)
    exported = logic.exportStudy(fusedNode, tmp_path / "out")
    assert (exported.count, exported.notes) == (9, [])
    assert {path.name: len(list(path.iterdir())) for path in (tmp_path / "out").iterdir()} == {"grey": 8, "blending": 1}
    mri = pydicom.dcmread(next((tmp_path / "mri").iterdir()))
    for file in (tmp_path / "out" / "grey").iterdir():
        written = pydicom.dcmread(file)
        assert (written.PatientID, written.StudyInstanceUID) == (mri.PatientID, mri.StudyInstanceUID)
        assert written.FrameOfReferenceUID == mri.FrameOfReferenceUID
        assert (written.Modality, written.SeriesDescription) == ("MR", SERIES_DESCRIPTION)
        referenced = {each.SeriesInstanceUID for each in written.ReferencedSeriesSequence}
        assert referenced == {fusedNode.GetAttribute(f"CSpADNFusion.{kind}_series_uid") for kind in ("pet", "mri")}
    image = dicom_reader.read_series(tmp_path / "out" / "grey", "It")
    assert image.GetOrigin() == pytest.approx(dicom_reader.read_series(tmp_path / "mri", "It").GetOrigin())


def test_voxels_are_those_of_the_node(loaded, tmp_path) -> None:
    import slicer

    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode)
    logic.exportStudy(fusedNode, str(tmp_path / "out"))
    values = sitk.GetArrayFromImage(dicom_reader.read_series(tmp_path / "out" / "grey", "It"))
    assert np.abs(values - slicer.util.arrayFromVolume(fusedNode)).max() <= 0.5


def test_transforms_of_the_scene_do_not_move_the_series(loaded, tmp_path) -> None:
    """One transform registers the PET, another moves both: the series lies at the position of the MRI's series."""
    logic, petNode, mriNode = loaded
    together = transform_of(rigid(10, (3, 4, 5)), "together")
    registration = transform_of(rigid(2, (1, 0, 0)), "registration")
    registration.SetAndObserveTransformNodeID(together.GetID())
    petNode.SetAndObserveTransformNodeID(registration.GetID())
    mriNode.SetAndObserveTransformNodeID(together.GetID())
    fusedNode = logic.fuse(petNode, mriNode)
    logic.exportStudy(fusedNode, tmp_path / "out")
    written, mri = (dicom_reader.read_series(tmp_path / name, "It") for name in ("out/grey", "mri"))
    assert written.GetOrigin() == pytest.approx(mri.GetOrigin())
    assert written.GetDirection() == pytest.approx(mri.GetDirection())
    expected = RAS_TO_LPS @ rigid(2, (1, 0, 0)) @ RAS_TO_LPS
    np.testing.assert_allclose(pet_to_mri(tmp_path / "out"), expected, atol=1e-9)


RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def pet_to_mri(study: Path) -> np.ndarray:
    """Return the matrix of the PET in the spatial registration of a study."""
    registration = pydicom.dcmread(study / "registration" / "0001.dcm").RegistrationSequence[1]
    matrix = registration.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix
    return np.reshape([float(value) for value in matrix], (4, 4))


@pytest.mark.parametrize("grid", ["mri", "pet"])
def test_registered_and_moved_the_pet_lies_where_it_was_fused(loaded, tmp_path, grid: str) -> None:
    """A registration in the provenance is that of the images, after the transforms of the scene."""
    logic, petNode, mriNode = loaded
    moved, found = rigid(3, (2, 1, 0)), sitk.Euler3DTransform((0, 0, 0), 0.02, 0, 0.03, (1, 2, -1))
    petNode.SetAndObserveTransformNodeID(transform_of(moved).GetID())
    fusedNode = logic.fuse(petNode, mriNode, grid=grid)
    fusedNode.SetAttribute("CSpADNFusion.registration_matrix", str(matrix_of(found)))
    logic.exportStudy(fusedNode, tmp_path / "out")
    to_mri, to_image = RAS_TO_LPS @ moved @ RAS_TO_LPS, np.reshape(matrix_of(found.GetInverse()), (4, 4))
    expected = to_image @ to_mri if grid == "mri" else to_mri @ to_image
    np.testing.assert_allclose(pet_to_mri(tmp_path / "out"), expected, atol=1e-9)


def test_a_pet_that_no_rigid_motion_places_is_left_out(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    petNode.SetAndObserveTransformNodeID(transform_of(np.diag([1.1, 1, 1, 1])).GetID())
    exported = logic.exportStudy(logic.fuse(petNode, mriNode), tmp_path / "out")
    assert [note.identifier for note in exported.notes] == ["pet-not-placeable"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"grey"}


def test_a_pet_that_was_moved_since_is_noticed(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode)
    petNode.SetAndObserveTransformNodeID(transform_of(rigid(0, (9, 0, 0))).GetID())
    with raises(InputError, "moved-since-fusion"):
        logic.exportStudy(fusedNode, tmp_path / "out")


def test_the_colours_are_those_of_the_node(loaded, tmp_path) -> None:
    import slicer

    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode, palette="PET-Rainbow2")
    assert logic.exportStudy(fusedNode, tmp_path / "out").count == 17
    written = sitk.ReadImage([str(file) for file in sorted((tmp_path / "out" / "color").iterdir())])
    colorNode = fusedNode.GetNodeReference("CSpADNFusionColor")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written), slicer.util.arrayFromVolume(colorNode))
    assert written.GetOrigin() == pytest.approx(dicom_reader.read_series(tmp_path / "mri", "It").GetOrigin())
    assert "PET-Rainbow2" in pydicom.dcmread(tmp_path / "out" / "color" / "0001.dcm").SeriesDescription


def test_the_grid_of_the_pet_is_brought_into_the_frame_of_the_mri(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    petNode.SetAndObserveTransformNodeID(transform_of(rigid(0, (2, 0, 0))).GetID())
    fusedNode = logic.fuse(petNode, mriNode, grid="pet")
    logic.exportStudy(fusedNode, tmp_path / "out")
    written, pet = (dicom_reader.read_series(tmp_path / name, "It") for name in ("out/grey", "pet"))
    assert written.GetOrigin() == pytest.approx(np.add(pet.GetOrigin(), (-2, 0, 0)))  # LPS


@pytest.mark.parametrize("grid", ["mri", "pet"])
@pytest.mark.parametrize("order", ["LPS", "PSR", "RSP"])
def test_any_stored_order_lies_where_it_was(scene, pair, tmp_path, monkeypatch, order: str, grid: str) -> None:
    """Each slice of the series equals that of the node at the same position, also in sagittal, coronal and rotated volumes."""
    import slicer

    turn = sitk.Euler3DTransform((0, 0, 0), 0.2, -0.1, 0.3)
    images = [sitk.DICOMOrient(image, order) for image in (pair[0], pair[1] * 10)]
    for image in images:
        image.SetDirection((np.reshape(turn.GetMatrix(), (3, 3)) @ np.reshape(image.GetDirection(), (3, 3))).ravel().tolist())
        image.SetOrigin(turn.TransformPoint(image.GetOrigin()))
    folders = write_series(tmp_path / "pet", images[0], "PT"), write_series(tmp_path / "mri", images[1], "MR")
    logic, petNode, mriNode = load(folders, monkeypatch)
    fusedNode = logic.fuse(petNode, mriNode, grid=grid)
    logic.exportStudy(fusedNode, tmp_path / "out")
    written = dicom_reader.read_series(tmp_path / "out" / "grey", "It")
    source = dicom_reader.read_series(tmp_path / grid, "It")
    assert written.GetDirection() == pytest.approx(source.GetDirection(), abs=1e-6)
    assert written.GetOrigin() == pytest.approx(source.GetOrigin(), abs=1e-5)
    assert np.abs(sitk.GetArrayFromImage(written) - slicer.util.arrayFromVolume(fusedNode)).max() <= 0.5


def harden(node, matrix: np.ndarray) -> None:
    """The voxels are no longer at the position in the series."""
    node.SetAndObserveTransformNodeID(transform_of(matrix).GetID())
    node.HardenTransform()


@pytest.mark.parametrize("grid", ["mri", "pet"])
def test_a_moved_mri_is_refused(loaded, tmp_path, grid: str) -> None:
    logic, petNode, mriNode = loaded
    harden(mriNode, rigid(0, (0, 1, 0)))
    harden(petNode, rigid(0, (0, 1, 0)))
    fusedNode = logic.fuse(petNode, mriNode, grid=grid)
    with raises(InputError, "mri-not-in-its-series", distance=pytest.approx(1)):
        logic.exportStudy(fusedNode, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_mri_that_was_turned_about_its_corner_is_refused(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    origin = np.diag([-1, -1, 1]) @ dicom_reader.read_series(tmp_path / "mri", "It").GetOrigin()
    turned = rigid(5, (0, 0, 0))
    turned[:3, 3] = origin - turned[:3, :3] @ origin
    harden(mriNode, turned)
    with raises(InputError, "mri-not-in-its-series"):
        logic.exportStudy(logic.fuse(petNode, mriNode), tmp_path / "out")


def test_a_transform_that_changed_since_is_noticed(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    transform = transform_of(rigid(0, (2, 0, 0)))
    petNode.SetAndObserveTransformNodeID(transform.GetID())
    fusedNode = logic.fuse(petNode, mriNode, grid="pet")
    transform.SetMatrixTransformToParent(slicer_matrix(rigid(0, (12, 0, 0))))
    with raises(InputError, "moved-since-fusion"):
        logic.exportStudy(fusedNode, tmp_path / "out")


def slicer_matrix(matrix: np.ndarray):
    import slicer

    return slicer.util.vtkMatrixFromArray(matrix)


def test_axes_that_are_not_at_right_angles_are_refused(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    sheared = np.eye(4)
    sheared[0, 1] = 0.15
    petNode.SetAndObserveTransformNodeID(transform_of(sheared).GetID())
    fusedNode = logic.fuse(petNode, mriNode, grid="pet")
    with raises(UsageError, "axes-not-storable"):
        logic.exportStudy(fusedNode, tmp_path / "out")


@pytest.mark.parametrize(
    ("other", "outcome"),
    [({"PatientID": "12", "PatientName": "Roe^Richard"}, "refused"), ({"PatientID": "12"}, "patient-uncertain"), ({}, "")],
)
def test_nodes_of_two_patients_are_not_fused_in_silence(scene, pair, tmp_path, monkeypatch, other, outcome: str) -> None:
    """The DICOM database names the patient; the result must not contain the name."""
    import slicer

    pet = write_series(tmp_path / "pet", pair[0], "PT", **other)
    logic, *nodes = load([pet, write_series(tmp_path / "mri", pair[1] * 10, "MR")], monkeypatch)
    if outcome == "refused":
        before = slicer.mrmlScene.GetNumberOfNodes()
        with raises(InputError, "patients-differ"):
            logic.fuse(*nodes)
        assert slicer.mrmlScene.GetNumberOfNodes() == before
        return
    warnings: list[str] = []
    fused = logic.fuse(*nodes, warned=warnings.append)
    assert any(says(each, "patient-uncertain", value="patient ID") for each in warnings) == bool(outcome)
    assert not [name for name in fused.GetAttributeNames() if "patient" in name.casefold()]


def test_another_patient_is_noticed_and_so_is_one_who_is_gone(loaded, tmp_path) -> None:
    import slicer

    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode)
    for file in (tmp_path / "pet").iterdir():
        header = pydicom.dcmread(file)
        header.PatientID = "another"
        header.save_as(file)
    with raises(InputError, "dicom-patients-differ"):
        logic.exportStudy(fusedNode, tmp_path / "out")
    slicer.dicomDatabase.forget(tmp_path / "pet")
    with raises(InputError, "pet-series-gone"):
        logic.exportStudy(fusedNode, tmp_path / "out")
    slicer.mrmlScene.RemoveNode(petNode)
    with raises(InputError, "pet-series-gone"):
        logic.exportStudy(fusedNode, tmp_path / "out")


def test_a_pet_that_was_no_series_needs_no_patient(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    petNode.RemoveAttribute("DICOM.instanceUIDs")
    exported = logic.exportStudy(logic.fuse(petNode, mriNode), tmp_path / "out")
    assert exported.count == 8
    assert [note.identifier for note in exported.notes] == ["dicom-pet-not-a-series"]


def test_a_series_of_several_volumes_gives_the_images_of_the_node(loaded, tmp_path) -> None:
    """Slicer loads each echo as a volume: the study does not refer to the other echo."""
    import slicer

    logic, petNode, mriNode = loaded
    others = tmp_path / "others"
    shutil.copytree(tmp_path / "mri", others)
    for file in others.iterdir():
        header = pydicom.dcmread(file)
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        header.EchoTime = 80
        header.save_as(file)
    slicer.dicomDatabase.add(others)
    logic.exportStudy(logic.fuse(petNode, mriNode), tmp_path / "out")
    other = {pydicom.dcmread(file).SOPInstanceUID for file in others.iterdir()}
    for file in (tmp_path / "out" / "grey").iterdir():
        written = pydicom.dcmread(file)
        assert written.get("EchoTime") != 80
        assert not other & {each.ReferencedSOPInstanceUID for each in written.SourceImageSequence}


@pytest.mark.parametrize(
    ("change", "identifier"),
    [(lambda header: header.__delattr__("ImagePositionPatient"), "dicom-tag-invalid"),
     (lambda header: setattr(header, "NumberOfFrames", 8), "dicom-multiframe")],
)  # fmt: skip
def test_series_of_other_forms_are_refused(loaded, tmp_path, change, identifier: str) -> None:
    """As enhanced MR images are, which Slicer reads."""
    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode)
    for file in (tmp_path / "mri").iterdir():
        header = pydicom.dcmread(file)
        change(header)
        header.save_as(file)
    with raises(InputError, identifier):
        logic.exportStudy(fusedNode, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_series_of_which_images_are_gone_is_refused(loaded, tmp_path) -> None:
    import slicer

    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode)
    slicer.dicomDatabase.forget_all_but_first(tmp_path / "mri")
    with raises(InputError, "mri-not-from-database"):
        logic.exportStudy(fusedNode, tmp_path / "out")


def test_what_is_in_a_folder_stays(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode)
    with raises(UsageError, "dicom-output-not-empty"):
        logic.exportStudy(fusedNode, tmp_path / "mri")
    next((tmp_path / "pet").iterdir()).unlink()
    with raises(InputError, "database-file-gone"):
        logic.exportStudy(fusedNode, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mri", "pet"]


def test_volumes_without_a_series_are_refused(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    with raises(InputError, "nothing-to-export"):
        logic.exportStudy(None, tmp_path / "out")
    with raises(InputError, "node-not-fused-here", name="mri"):
        logic.exportStudy(mriNode, tmp_path / "out")
    fusedNode = logic.fuse(petNode, mriNode, palette="PET-Heat")
    with raises(InputError, "node-not-fused-here"):
        logic.exportStudy(fusedNode.GetNodeReference("CSpADNFusionColor"), tmp_path / "out")
    mriNode.RemoveAttribute("DICOM.instanceUIDs")
    with raises(InputError, "mri-not-from-database"):
        logic.exportStudy(fusedNode, tmp_path / "out")
    import slicer

    slicer.mrmlScene.RemoveNode(mriNode)
    with raises(InputError, "node-not-fused-here"):
        logic.exportStudy(fusedNode, tmp_path / "out")


@pytest.fixture
def panel(loaded):
    widget = application.openModule(MODULE_FILE)
    parameters = widget.logic.getParameterNode()
    parameters.petVolume, parameters.mriVolume = loaded[1:]
    return widget


def test_the_button_exports_the_last_result(panel, tmp_path, monkeypatch) -> None:
    import qt

    assert not panel.ui.exportButton.isEnabled()
    assert "Fuse two volumes first" in panel.ui.exportButton.toolTip()
    parameters = panel.logic.getParameterNode()
    fusedNode = panel.logic.fuse(parameters.petVolume, parameters.mriVolume, palette="Heated")
    assert panel.ui.exportButton.isEnabled()
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "empty"))
    panel.ui.exportButton.click()
    expected = {"name": fusedNode.GetName(), "count": 17, "folder": tmp_path / "empty"}
    assert says(panel.ui.statusLabel.text(), "study-exported", **expected)
    panel.ui.exportButton.click()
    assert "is not empty" in records.texts("error")[-1]
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: "")
    panel.ui.exportButton.click()
    assert len(records.texts("error")) == 1


def test_one_click_adds_the_study_to_the_database(panel, tmp_path, monkeypatch) -> None:
    import slicer

    (tmp_path / "copies").mkdir()
    monkeypatch.setitem(sys.modules, "DICOMLib", library_of(slicer.dicomDatabase, tmp_path / "copies"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert not panel.ui.databaseButton.isEnabled()
    parameters = panel.logic.getParameterNode()
    fusedNode = panel.logic.fuse(parameters.petVolume, parameters.mriVolume, palette="Heated")
    panel.ui.databaseButton.click()
    assert records.texts("error") == []
    assert says(panel.ui.statusLabel.text(), "study-added", name=fusedNode.GetName(), count=17)
    added = [pydicom.dcmread(file) for file in (tmp_path / "copies" / "0").iterdir()]
    mri = pydicom.dcmread(next((tmp_path / "mri").iterdir()))
    assert [each.StudyInstanceUID for each in added] == [mri.StudyInstanceUID] * 17
    assert list(temporary.rglob("cspadn-study-*")) == []
    assert not panel.ui.databaseButton.isEnabled()  # a second copy would have other UIDs
    assert says(panel.ui.databaseButton.toolTip(), "study-in-database")
    panel.ui.paletteComboBox.setCurrentText("PET-Rainbow")
    assert panel.ui.databaseButton.isEnabled()
    panel.ui.databaseButton.click()
    assert len(list((tmp_path / "copies").iterdir())) == 2
    slicer.dicomDatabase.forget(tmp_path / "copies" / "1")
    panel.onParametersModified()
    assert panel.ui.databaseButton.isEnabled()


@pytest.mark.parametrize("most", [0, 5])
def test_a_database_that_does_not_take_all_keeps_nothing(panel, tmp_path, monkeypatch, most: int) -> None:
    import slicer

    (tmp_path / "copies").mkdir()
    before = slicer.dicomDatabase.seriesUIDs()
    monkeypatch.setitem(sys.modules, "DICOMLib", library_of(slicer.dicomDatabase, tmp_path / "copies", most))
    parameters = panel.logic.getParameterNode()
    panel.logic.fuse(parameters.petVolume, parameters.mriVolume)
    panel.ui.databaseButton.click()
    (text,) = records.texts("error")
    assert says(text, "study-not-added")
    assert slicer.dicomDatabase.seriesUIDs() == before
    assert panel.ui.databaseButton.isEnabled()


@pytest.mark.parametrize("missing", [True, False])
def test_without_an_open_database_the_button_says_so(loaded, monkeypatch, missing: bool) -> None:
    import slicer

    logic, petNode, mriNode = loaded
    widget = application.openModule(MODULE_FILE)
    parameters = widget.logic.getParameterNode()
    parameters.petVolume, parameters.mriVolume = petNode, mriNode
    fusedNode = widget.logic.fuse(petNode, mriNode)
    widget.onParametersModified()
    assert widget.ui.databaseButton.isEnabled()
    if missing:
        monkeypatch.setattr(slicer, "dicomDatabase", None)
    else:
        monkeypatch.setattr(slicer.dicomDatabase, "isOpen", False)
    widget.onParametersModified()
    for button in (widget.ui.databaseButton, widget.ui.exportButton):
        assert not button.isEnabled()
        assert says(button.toolTip(), "database-not-open")
    with raises(InputError, "database-not-open"):
        logic.addStudyToDatabase(fusedNode)


class _Plugin:
    """Slicer's DICOMPlugin, as far as a plugin needs it."""

    def __init__(self) -> None:
        self.tags = {"modality": "0008,0060", "seriesDescription": "0008,103E"}


def test_the_objects_without_an_image_are_taken_by_a_plugin(loaded, tmp_path, monkeypatch) -> None:
    """Slicer would take them for volumes, and tell whoever loads the patient again that it cannot read them."""
    import slicer

    from CSpADNFusionLib.scene import dicom_plugin

    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode, palette="Heated")
    logic.exportStudy(fusedNode, tmp_path / "out")
    library = ModuleType("DICOMLib")
    library.DICOMPlugin, library.DICOMLoadable = _Plugin, SimpleNamespace
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    monkeypatch.setattr(slicer.modules, "dicomPlugins", {}, raising=False)
    dicom_plugin.register()
    plugin = slicer.modules.dicomPlugins["CSpADNFusionDICOMPlugin"]()
    series = {}
    for folder in sorted((tmp_path / "out").iterdir()):
        slicer.dicomDatabase.add(folder)
        series[folder.name] = sorted(map(str, folder.iterdir()))
    series["mri"] = sorted(map(str, (tmp_path / "mri").iterdir()))
    taken = plugin.examineForImport(list(series.values()))
    assert [loadable.files for loadable in taken] == [series["blending"]]
    assert taken[0].selected
    assert taken[0].confidence > 0.9
    assert "not for diagnosis" in taken[0].name
    before = slicer.mrmlScene.GetNumberOfNodes()
    assert plugin.load(taken[0])
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_the_states_of_other_programs_are_left_to_slicer(loaded, tmp_path, monkeypatch) -> None:
    import slicer

    from CSpADNFusionLib.scene import dicom_plugin

    other = pydicom.dcmread(next((tmp_path / "mri").iterdir()))
    other.Modality, other.Manufacturer = "PR", "another"
    (tmp_path / "other").mkdir()
    other.save_as(tmp_path / "other" / "state.dcm")
    slicer.dicomDatabase.add(tmp_path / "other")
    plugin = dicom_plugin._pluginClass(_Plugin, SimpleNamespace)()
    assert plugin.examineForImport([[str(tmp_path / "other" / "state.dcm")]]) == []


def test_without_a_dicom_module_there_is_no_plugin(scene, monkeypatch) -> None:
    import slicer

    from CSpADNFusionLib.scene import dicom_plugin

    monkeypatch.setitem(sys.modules, "DICOMLib", None)
    monkeypatch.setattr(slicer.modules, "dicomPlugins", {}, raising=False)
    dicom_plugin.register()
    assert slicer.modules.dicomPlugins == {}


def test_an_unexpected_error_is_told(panel, tmp_path, monkeypatch) -> None:
    import qt

    parameters = panel.logic.getParameterNode()
    panel.logic.fuse(parameters.petVolume, parameters.mriVolume)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "out"))
    monkeypatch.setattr(dicom_writer, "stage_study", lambda *_, **__: 1 / 0)
    panel.ui.exportButton.click()
    (text,) = records.texts("error")
    assert says(text, "study-not-written")
    assert not (tmp_path / "out").exists()


def test_a_swapped_pair_is_told_in_slicer(loaded) -> None:
    logic, petNode, mriNode = loaded
    with raises(InputError, "pet-and-mri-swapped", name="PET", modality="MR"):
        logic.fuse(mriNode, petNode)


def test_the_window_of_the_pet_in_suv(scene, pair, tmp_path, monkeypatch, inline_worker) -> None:
    load(list(write_pair(tmp_path, pair).values()), monkeypatch)
    panel = application.openWidget("CSpADNFusion")
    panel.ui.windowsCollapsibleButton.setCollapsed(False)
    panel.ui.petWindowCheckBox.setChecked(False)
    panel.ui.petLowerSpinBox.setValue(0)
    panel.ui.petUpperSpinBox.setValue(20000)
    assert says(panel.ui.windowUnitsLabel.text(), "panel-window-units", units="Bq/ml")
    remaining = 185e6 * 2 ** (-45 * 60 / 6586.2)  # of the dose, after 45 minutes
    assert says(panel.ui.windowUnitsLabel.text(), "panel-window-suv", lower=0, upper=20000 * 70000 / remaining)
