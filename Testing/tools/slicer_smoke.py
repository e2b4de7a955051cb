"""Run by a real Slicer: open the module, go through the panel, run its self test, and print one line with the verdict.

Slicer --testing --additional-module-paths CSpADNFusion --python-script Testing/tools/slicer_smoke.py
"""

import tempfile
import time
import traceback
from pathlib import Path

import slicer

_SECONDS = 600


def check() -> None:
    """Raise where something is not as it should be."""
    slicer.util.selectModule("CSpADNFusion")
    widget = slicer.modules.cspadnfusion.widgetRepresentation().self()
    if missing := widget.logic.missingPackages():
        raise AssertionError(f"not installed: {', '.join(missing)}")
    _check_panel(widget)
    if getattr(slicer, "dicomDatabase", None):
        with tempfile.TemporaryDirectory() as folder:
            _check_export(widget, Path(folder))

    from CSpADNFusion import CSpADNFusionTest

    CSpADNFusionTest().runTest()


def _check_panel(widget) -> None:
    """Each step of the panel by its buttons: register, undo, fuse, colour, compare, plot, back."""
    ui = widget.ui
    ui.sampleDataButton.click()
    slicer.app.processEvents()
    assert "100%" in ui.pairLabel.text, ui.pairLabel.text
    _check_registration(widget)
    ui.metricsCheckBox.setChecked(True)
    fused_node = _fuse(widget)
    _check_views(fused_node)
    _check_colors(ui, fused_node)
    assert not ui.databaseButton.enabled  # the sample pair is no DICOM
    for index in range(ui.comparisonComboBox.count):
        ui.comparisonComboBox.setCurrentIndex(index)
        _check_layout(ui, ui.compareButton)
    _check_layout(ui, ui.plotButton)


def _check_registration(widget) -> None:
    ui, (pet_node, _) = widget.ui, _pair(widget)
    ui.registerButton.click()
    assert ui.registerButton.text == "Cancel", ui.statusLabel.text
    _wait(lambda: not widget.logic.isBusy())
    transform_node = pet_node.GetParentTransformNode()
    assert transform_node is not None, ui.statusLabel.text
    assert transform_node.GetAttribute("CSpADNFusion.registration")
    assert ui.undoButton.enabled
    ui.undoButton.click()
    assert pet_node.GetParentTransformNode() is None


def _fuse(widget):
    """The fused volume node of a run in the worker process."""
    ui = widget.ui
    assert ui.applyButton.enabled, ui.applyButton.toolTip
    ui.applyButton.click()
    assert ui.applyButton.text == "Cancel", ui.statusLabel.text
    _wait(lambda: not widget.logic.isFusing())
    fused_node = widget.logic.getParameterNode().lastFusedVolume
    assert fused_node, ui.statusLabel.text
    assert ui.statusLabel.text.startswith("Done"), ui.statusLabel.text
    return fused_node


def _check_views(fused_node) -> None:
    """The colours are in the slice views, with their legend."""
    from CSpADNFusionLib.scene.color_legend import legendOf

    color_node = fused_node.GetNodeReference("CSpADNFusionColor")
    composite = slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == color_node.GetID()
    assert legendOf(color_node).GetVisibility()
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    manager = view.displayableManagerByClassName("vtkMRMLColorLegendDisplayableManager")
    view.forceRender()
    assert manager.GetColorLegendActor(legendOf(color_node)).GetVisibility()


def _check_colors(ui, fused_node) -> None:
    color_node = fused_node.GetNodeReference("CSpADNFusionColor")
    before = slicer.util.arrayFromVolume(color_node).copy()
    ui.paletteComboBox.setCurrentText("PET-Rainbow")
    ui.petWeightSlider.setValue(0.5)
    slicer.app.processEvents()
    assert color_node.GetAttribute("CSpADNFusion.palette") == "PET-Rainbow", ui.statusLabel.text
    assert (slicer.util.arrayFromVolume(color_node) != before).any()


def _check_layout(ui, button) -> None:
    """A button opens another layout, and Back returns to the one before."""
    manager = slicer.app.layoutManager()
    before = manager.layout
    assert button.enabled, button.toolTip
    button.click()
    slicer.app.processEvents()
    assert manager.layout != before
    ui.backButton.click()
    slicer.app.processEvents()
    assert manager.layout == before


def _pair(widget):
    parameters = widget.logic.getParameterNode()
    return parameters.petVolume, parameters.mriVolume


def _wait(done) -> None:
    end = time.monotonic() + _SECONDS
    while not done():
        assert time.monotonic() < end, "the run did not end"
        slicer.app.processEvents()
        time.sleep(0.05)


def _check_export(widget, folder: Path) -> None:
    """A small series in a database of Slicer's own, loaded, fused with the sample's PET, exported and read again."""
    from DICOMLib import DICOMUtils

    petNode, mriNode = _pair(widget)
    _write_series(mriNode, folder / "mri")
    with DICOMUtils.TemporaryDICOMDatabase(str(folder / "database")) as database:
        DICOMUtils.importDicom(str(folder / "mri"), database)
        (nodeID,) = DICOMUtils.loadPatientByUID(database.patients()[0])
        fusedNode = widget.logic.fuse(petNode, slicer.mrmlScene.GetNodeByID(nodeID))
        exported = widget.logic.exportStudy(fusedNode, folder / "out")
        assert exported.count == sum(file.is_file() for file in (folder / "out").rglob("*"))
        assert widget.logic.addStudyToDatabase(fusedNode).count == exported.count
        (study,) = database.studiesForPatient(database.patients()[0])
        assert len(database.seriesForStudy(study)) > 1


def _write_series(node, folder: Path) -> None:
    """By pydicom, which comes with Slicer: an MR image of each slice of a volume that lies along the patient's axes."""
    import numpy as np
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    from CSpADNFusionLib.scene.volumes import imageFromVolumeNode

    folder.mkdir()
    image, study, series, frame = imageFromVolumeNode(node), *(generate_uid() for _ in range(3))
    axes = np.reshape(image.GetDirection(), (3, 3))
    for index, values in enumerate(slicer.util.arrayFromVolume(node)):
        each = pydicom.Dataset()
        each.SOPClassUID, each.SOPInstanceUID, each.Modality = MRImageStorage, generate_uid(), "MR"
        each.StudyInstanceUID, each.SeriesInstanceUID, each.FrameOfReferenceUID = study, series, frame
        each.PatientName, each.PatientID, each.SeriesNumber, each.InstanceNumber = "Made^Up", "1", 1, index + 1
        each.ImagePositionPatient = list(image.TransformIndexToPhysicalPoint((0, 0, index)))
        each.ImageOrientationPatient = [*axes[:, 0], *axes[:, 1]]
        each.PixelSpacing, each.SliceThickness = [image.GetSpacing()[1], image.GetSpacing()[0]], image.GetSpacing()[2]
        each.Rows, each.Columns, each.SamplesPerPixel, each.PhotometricInterpretation = *values.shape, 1, "MONOCHROME2"
        each.BitsAllocated, each.BitsStored, each.HighBit, each.PixelRepresentation = 16, 16, 15, 0
        each.PixelData = values.astype("<u2").tobytes()
        each.file_meta = FileMetaDataset()
        each.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        each.save_as(folder / f"{index:04d}.dcm", enforce_file_format=True)


def main() -> int:
    """The exit code."""
    try:
        check()
    except Exception as error:
        traceback.print_exc()
        print(f"VERDICT CSpADNFusion in Slicer {slicer.app.applicationVersion}: failed, {error}", flush=True)
        return 1
    print(f"VERDICT CSpADNFusion in Slicer {slicer.app.applicationVersion}: passed", flush=True)
    return 0


slicer.util.exit(main())
