"""Shipped sample pair in the Sample Data module of Slicer. The addresses are local files; nothing is downloaded."""

import hashlib

import slicer

CATEGORY = "CSpADNFusion"
PET, MRI = "SimulatedHead_FDG", "SimulatedHead_T1"
HOT_LESION = 30.0, -15.0, 45.0  # RAS, mm: of the pair, in an axial slice with its other two lesions
_PET_UNITS = "Bq/ml", "UCUM", "Becquerels/milliliter"  # value, scheme and meaning in DICOM PS3.16, CID 84


def registerSampleData(resourcesFolder):
    """Add the two volumes to the Sample Data module.

    :param resourcesFolder: pathlib.Path of the module's ``Resources``.
    :raises cspadn.errors.InputError: Slicer cannot read a file.
    """
    from SampleData import SampleDataLogic

    SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, title=CATEGORY)
    for name in (MRI, PET):
        path = resourcesFolder / "SampleData" / f"{name}.nrrd"
        SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=name,
            uris=path.as_uri(),
            fileNames=path.name,
            nodeNames=name,
            # Slicer keeps a copy: the checksum makes it use the new file after an update of the extension.
            checksums="SHA256:" + hashlib.sha256(path.read_bytes()).hexdigest(),
            thumbnailFileName=str(resourcesFolder / "Icons" / f"{name}.png"),
        )


def loadSamplePair(resourcesFolder):
    """Load the shipped PET, with its units and in the default palette, and the MRI into the scene; return both nodes.

    :param resourcesFolder: pathlib.Path of the module's ``Resources``.
    :raises cspadn.errors.InputError: Slicer cannot read a file.
    """
    from SampleData import SampleDataLogic

    from cspadn.palettes import DEFAULT_PALETTE
    from CSpADNFusionLib.scene.palettes import showInPalette

    registerSampleData(resourcesFolder)
    logic = SampleDataLogic()
    petNode = _loaded(logic, PET)
    mriNode = _loaded(logic, MRI)  # last, so that the views follow its slices: those of the PET are oblique
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning(*_PET_UNITS)
    petNode.SetVoxelValueUnits(units)
    showInPalette(petNode, DEFAULT_PALETTE)
    return petNode, mriNode


def _loaded(logic, name):
    from cspadn.errors import InputError
    from CSpADNFusionLib.messages import message

    try:
        return logic.downloadSample(name)
    except IndexError:  # of the list of nodes, which is empty if no reader took the file
        raise InputError(message("sample-file-not-read", name=name)) from None
