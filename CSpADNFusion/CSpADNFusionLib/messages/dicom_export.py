"""Messages on the export of a fused volume as a DICOM study."""

from slicer.i18n import tr as _

from cspadn.messages import Message, Section

SECTION = Section(
    "Exporting a DICOM study from the panel",
    "*Add to the DICOM database* and *Export to a folder...* write the last fused volume and its colour volume. See also "
    "*Writing a DICOM study* below.",
    (
        Message(
            "nothing-to-export",
            _("Fuse two volumes first."),
            "The buttons write the last result, and this scene has none.",
        ),
        Message(
            "node-not-fused-here",
            _("The volume '{name}' is not a grayscale volume made by this module, or its MRI is no longer in the scene."),
            "Choose the fused volume itself, not its colour volume, an input, or a volume that was loaded from a file. The "
            "MRI supplies patient, study and position: load it, and fuse again.",
        ),
        Message(
            "mri-not-from-database",
            _("The MRI was not loaded from Slicer's DICOM database, so that patient and study of the result are unknown."),
            "Import its folder in the module *DICOM*, load it there, and fuse that volume. A clone counts as the original, "
            "even if its voxels were changed.",
        ),
        Message(
            "pet-grid-not-linear",
            _("The PET's grid lies behind a non-linear transform: fuse on the MRI's grid."),
            "Under *Advanced*, *Voxels of the result*. A DICOM series cannot be curved.",
        ),
        Message(
            "moved-since-fusion",
            _("PET or MRI was moved since the fusion: press Apply again, then export."),
            "A transform was changed after the fusion, so the export does not know where the PET was.",
        ),
        Message(
            "pet-series-gone",
            _("The PET's DICOM series is no longer available, so that its patient cannot be checked: fuse it again."),
            "The PET was removed from the scene, or its series from Slicer's database. PET and MRI must be from one patient.",
        ),
        Message(
            "database-file-gone",
            _("{file} is no longer where Slicer's DICOM database expects it: import the folder again."),
            "By default, importing does not copy the files: a folder was renamed, or a disk is not connected.",
        ),
        Message(
            "pet-not-placeable",
            _("The study has no presentation state of the PET over the MRI: no rigid motion places the PET's series."),
            "The fused series are complete. The PET lies behind a non-linear or scaling transform, or was cropped or moved "
            "by a hardened transform.",
        ),
        Message(
            "study-not-written",
            _("The study could not be written: the details show why. Please report it."),
            "An unexpected error. No files are left in the folder.",
        ),
        Message(
            "database-not-open",
            _("Slicer's DICOM database is not open: open the module DICOM, and create or select a database there."),
            "It has the headers of the MRI, without which no study can be written.",
        ),
        Message(
            "study-not-added",
            _("Slicer's DICOM database did not take all files of the study, and keeps none: Slicer's log says why."),
            "Often the disk of the database is full. The study can be exported to a folder, and imported later.",
        ),
        Message(
            "study-in-database",
            _("The last result is in Slicer's DICOM database already."),
            "A second copy would have other UIDs. After another palette or weight was chosen, it can be added again.",
        ),
        Message(
            "study-added",
            _("Added to the DICOM database: {name}, {count} files"),
            "Done. The series appear in the MRI's study in the module *DICOM*. The database has its own copies of the files.",
        ),
        Message(
            "study-exported",
            _("Exported: {name}, {count} files in {folder}"),
            "Done. To import the folder later, use *DICOM > Import DICOM files*.",
        ),
    ),
)
