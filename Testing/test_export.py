"""A fused volume of the scene as a DICOM series, with the MRI and the PET in a database as Slicer's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer")
pytest.importorskip("PySide6")

from cspadn import dicom
from cspadn.errors import InputError, UsageError
from slicer_application import application, records
from test_dicom import write
from test_mrml import MODULE_FILE, node_of, rigid, transform_of


class Database:
    """What the module asks of a ctkDICOMDatabase, answered from the headers of files."""

    def __init__(self, *folders: Path) -> None:
        self._headers = {
            str(file): pydicom.dcmread(file, stop_before_pixels=True)
            for folder in folders
            for file in sorted(folder.iterdir())
        }

    def filesForSeries(self, uid: str) -> tuple[str, ...]:
        return tuple(file for file, header in self._headers.items() if header.SeriesInstanceUID == uid)

    def instanceValue(self, uid: str, tag: str) -> str:
        found = (header for header in self._headers.values() if header.SOPInstanceUID == uid)
        element = next(found)[tuple(int(part, 16) for part in tag.split(","))]
        return str(element.value)

    def instances(self, folder: Path) -> str:
        return " ".join(str(header.SOPInstanceUID) for file, header in self._headers.items() if Path(file).parent == folder)


@pytest.fixture
def loaded(scene, pair, tmp_path, monkeypatch):
    """The logic, and the nodes of a PET and an MRI series, each with what Slicer keeps of the database."""
    import slicer

    folders = write(tmp_path / "pet", pair[0], "PT"), write(tmp_path / "mri", pair[1] * 10, "MR")
    database = Database(*folders)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    nodes = []
    for folder in folders:
        nodes.append(node_of(dicom.read_series(folder, folder.name), folder.name))
        nodes[-1].SetAttribute("DICOM.instanceUIDs", database.instances(folder))
    application.openModule(MODULE_FILE)
    import CSpADNFusion

    return CSpADNFusion.CSpADNFusionLogic(), *nodes


def test_a_series_is_written_into_the_study_of_the_mri(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode)
    assert logic.exportSeries(fusedNode, tmp_path / "out") == len(list((tmp_path / "out").iterdir())) == 8
    mri = pydicom.dcmread(next((tmp_path / "mri").iterdir()))
    for file in (tmp_path / "out").iterdir():
        written = pydicom.dcmread(file)
        assert (written.PatientID, written.StudyInstanceUID) == (mri.PatientID, mri.StudyInstanceUID)
        assert written.FrameOfReferenceUID == mri.FrameOfReferenceUID
        assert (written.Modality, written.SeriesDescription) == ("MR", dicom.SERIES_DESCRIPTION)
        referenced = {each.SeriesInstanceUID for each in written.ReferencedSeriesSequence}
        assert referenced == {fusedNode.GetAttribute(f"CSpADNFusion.{kind}_series_uid") for kind in ("pet", "mri")}
    image = dicom.read_series(tmp_path / "out", "It")
    assert image.GetOrigin() == pytest.approx(dicom.read_series(tmp_path / "mri", "It").GetOrigin())


def test_voxels_are_those_of_the_node(loaded, tmp_path) -> None:
    import slicer

    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode)
    logic.exportSeries(fusedNode, str(tmp_path / "out"))
    values = sitk.GetArrayFromImage(dicom.read_series(tmp_path / "out", "It"))
    assert np.abs(values - slicer.util.arrayFromVolume(fusedNode)).max() <= dicom.STEP


def test_transforms_of_the_scene_do_not_move_the_series(loaded, tmp_path) -> None:
    """The PET is registered by one, and both are moved by another: the series lies where the MRI's does."""
    logic, petNode, mriNode = loaded
    together = transform_of(rigid(10, (3, 4, 5)), "together")
    registration = transform_of(rigid(2, (1, 0, 0)), "registration")
    registration.SetAndObserveTransformNodeID(together.GetID())
    petNode.SetAndObserveTransformNodeID(registration.GetID())
    mriNode.SetAndObserveTransformNodeID(together.GetID())
    fusedNode = logic.fuse(petNode, mriNode)
    logic.exportSeries(fusedNode, tmp_path / "out")
    written, mri = (dicom.read_series(tmp_path / name, "It") for name in ("out", "mri"))
    assert written.GetOrigin() == pytest.approx(mri.GetOrigin())
    assert written.GetDirection() == pytest.approx(mri.GetDirection())


def test_the_grid_of_the_pet_is_brought_into_the_frame_of_the_mri(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    petNode.SetAndObserveTransformNodeID(transform_of(rigid(0, (2, 0, 0))).GetID())
    fusedNode = logic.fuse(petNode, mriNode, grid="pet")
    logic.exportSeries(fusedNode, tmp_path / "out")
    written, pet = (dicom.read_series(tmp_path / name, "It") for name in ("out", "pet"))
    assert written.GetOrigin() == pytest.approx(np.add(pet.GetOrigin(), (-2, 0, 0)))  # LPS
    import slicer

    slicer.mrmlScene.RemoveNode(mriNode)
    with pytest.raises(InputError, match="no longer in the scene"):
        logic.exportSeries(fusedNode, tmp_path / "again")


def test_a_moved_mri_is_refused(loaded, tmp_path) -> None:
    """Its transform was hardened, so that its voxels are no longer where the series says."""
    logic, petNode, mriNode = loaded
    mriNode.SetAndObserveTransformNodeID(transform_of(rigid(0, (0, 1, 0))).GetID())
    mriNode.HardenTransform()
    fusedNode = logic.fuse(petNode, mriNode)
    with pytest.raises(InputError, match=r"lies up to 1\.0 mm from the DICOM series of its MRI"):
        logic.exportSeries(fusedNode, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_in_a_folder_stays(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    fusedNode = logic.fuse(petNode, mriNode)
    with pytest.raises(UsageError, match="is not empty"):
        logic.exportSeries(fusedNode, tmp_path / "mri")
    next((tmp_path / "pet").iterdir()).unlink()
    with pytest.raises(InputError, match="damaged, or not permitted"):
        logic.exportSeries(fusedNode, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mri", "pet"]


def test_volumes_without_a_series_are_refused(loaded, tmp_path) -> None:
    logic, petNode, mriNode = loaded
    with pytest.raises(InputError, match="Fuse two volumes first"):
        logic.exportSeries(None, tmp_path / "out")
    with pytest.raises(InputError, match="'mri' is none that this module"):
        logic.exportSeries(mriNode, tmp_path / "out")
    fusedNode = logic.fuse(petNode, mriNode, palette="PET-Heat")
    with pytest.raises(InputError, match="is none that this module"):
        logic.exportSeries(fusedNode.GetNodeReference("CSpADNFusionColor"), tmp_path / "out")
    mriNode.RemoveAttribute("DICOM.instanceUIDs")
    with pytest.raises(InputError, match="not loaded from Slicer's DICOM database"):
        logic.exportSeries(logic.fuse(petNode, mriNode), tmp_path / "out")


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
    fusedNode = panel.logic.fuse(parameters.petVolume, parameters.mriVolume)
    assert panel.ui.exportButton.isEnabled()
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "empty"))
    panel.ui.exportButton.click()
    assert panel.ui.statusLabel.text() == f"Exported: {fusedNode.GetName()}, 8 files in {tmp_path / 'empty'}"
    panel.ui.exportButton.click()
    assert "is not empty" in records.texts("error")[-1]
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: "")
    panel.ui.exportButton.click()
    assert len(records.texts("error")) == 1
