"""Messages on writing results: files and DICOM series."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "Writing results",
    "The outputs are checked before the fusion starts. Either all of them are written, or none.",
    (
        Message(
            "fused-written",
            "Wrote {paths}.",
            "`cspadn fuse` has finished: the fused volume, its JSON file with the provenance, and the other outputs.",
        ),
        Message(
            "fused-how",
            "{windows}. {alignment}",
            "The second line of `cspadn fuse`: what is black and white, and how PET and MRI lie to each other."
            " `--pet-window` and `--mri-window` set the windows.",
        ),
        Message(
            "output-format",
            "The output {path} must end in {suffixes}.",
            "The ending selects the format: volumes `.nii`, `.nii.gz`, `.nrrd`, `.mha`; colour volumes `.nrrd`, `.mha`; "
            "tables `.csv`; pages `.html`; pictures `.png`.",
        ),
        Message(
            "output-folder-missing",
            "The folder of the output {path} does not exist: create it first.",
            "Often a typing error in the path. `cspadn fuse` creates no folders.",
        ),
        Message(
            "output-folder-not-writable",
            "The folder of the output {path} is not writable: choose another, or check its permissions.",
            "Common on archives and read-only shared drives.",
        ),
        Message(
            "output-is-folder",
            "The output {path} is a folder: give the name of a file.",
            "To write a folder of DICOM files, add `--dicom`.",
        ),
        Message(
            "output-is-link",
            "The output {path} is a link, which is never written through: remove it, or choose another name.",
            "A file or folder of the outputs is a symbolic link, or a junction of Windows. It could lead to any file of the "
            "user, for example in a dataset from elsewhere. With DataLad, run `datalad unlock` first. The folder given as "
            "OUTPUT of a cohort or batch may be a link.",
        ),
        Message(
            "output-is-input",
            "The output {path} is one of the inputs: choose another name.",
            "Inputs are never replaced, not even with `--overwrite`. The files of their voxels (`.raw`, `.img`) and the "
            "slices of their DICOM series belong to them.",
        ),
        Message(
            "output-exists",
            "The output {path} exists: choose another name, or allow it to be replaced with --overwrite.",
            "It may be the JSON file beside an earlier result rather than the volume. In a batch, the file was made from "
            "other inputs or settings.",
        ),
        Message(
            "sidecar-of-other-program",
            "{path} exists and was not written by cspadn: choose another name for the output beside it.",
            "The JSON file beside the output would replace a JSON file of another program, such as BIDS puts beside each "
            "image. `--overwrite` does not replace it either.",
        ),
        Message(
            "colour-output-collides",
            "The colour volume {path} would overwrite the fused volume: choose another name.",
            "`--color` has the same name as `-o`, or is inside the new folder of `--dicom`.",
        ),
        Message(
            "output-created-meanwhile",
            "The output {path} was created in the meantime by another process: nothing was written. Choose another name.",
            "Another program or run wrote it during the computation. Choose another name, or use `--overwrite`.",
        ),
        Message(
            "output-name-unusable",
            "The output {path} cannot be written: {why}. Choose another name.",
            "The name is too long or not allowed, or is a link that leads to itself.",
        ),
        Message(
            "output-not-written",
            "The output {path} cannot be written: {why}. Check the permissions and the space on the disk.",
            "The reason comes from the operating system: no space, no permission, or, on Windows, a file that is open in "
            "another program. An earlier file of that name is kept.",
        ),
        Message(
            "output-incomplete",
            "The output {path} cannot be written: check the permissions and the space on the disk.",
            "Writing stopped early, usually because the disk is full or a quota is reached. No partial output is left.",
        ),
        Message(
            "output-lock-held",
            "Another run has held {path} for {seconds} s: end that run. If there is none, delete the file.",
            "Runs of one user on one computer wait for each other for a moment when they name their outputs. One of them "
            "hangs or is paused.",
        ),
        Message(
            "axes-not-storable",
            "The axes of the volume are not at right angles, which {path} cannot store: resample the volume first, or write "
            ".nrrd or .mha.",
            "The volume is sheared, often by an affine registration. NIfTI and DICOM cannot store that. A cohort always "
            "writes NIfTI: resample the volume, in Slicer with *Resample Scalar/Vector/DWI Volume*.",
        ),
    ),
)

DICOM = Section(
    "Writing a DICOM study",
    "*Export to a folder...* in the panel, or `--dicom`, writes new series of the MRI's study into an empty folder: see "
    "[dicom.md](dicom.md). Nothing is sent anywhere. *Add to the DICOM database* writes the same.",
    (
        Message(
            "dicom-output-is-file-name",
            "With --dicom the output is a folder, but {path} is the name of a file: give the name of a folder.",
            "Give a name without `.nii`, `.nrrd` and the like.",
        ),
        Message(
            "dicom-output-needs-series",
            "A DICOM output needs patient and study from the MRI: give the MRI as a DICOM series.",
            "Give the MRI as a folder of DICOM files. The PET may have any format.",
        ),
        Message(
            "dicom-output-not-a-folder",
            "The output {path} is a file or a link: give the name of a folder.",
            "Choose a name that does not exist yet.",
        ),
        Message(
            "dicom-output-not-empty",
            "The output folder {path} is not empty, and its files are never replaced: choose another folder.",
            "`--overwrite` does not change this.",
        ),
        Message(
            "dicom-source-tag-missing",
            "{volume} has no {tag} in its DICOM headers, which the new series need: give the original series.",
            "The tag may have been removed by anonymisation. Use the original series, or write `.nrrd`.",
        ),
        Message(
            "dicom-pet-not-a-series",
            "The PET is not a DICOM series, so the study has no presentation state of the PET over the MRI: give the PET as a "
            "DICOM series for one.",
            "The fused series are complete. A presentation state and a spatial registration refer to the images of both "
            "series.",
        ),
        Message(
            "dicom-not-one-stack",
            "PET or MRI has several images at one place, so the study has no presentation state of the PET over the MRI.",
            "The fused series are complete. A presentation state shows each image of a series, so a dynamic series needs "
            "another one first, of a single time.",
        ),
        Message(
            "dicom-patients-differ",
            "PET and MRI have different patient IDs, so that the patient of the new series is unclear: check that they "
            "belong together.",
            "They are from two patients, or from one who was anonymised twice under different IDs. If they belong together, "
            "correct the IDs, or write `.nrrd`.",
        ),
        Message(
            "mri-not-in-its-series",
            "The MRI lies up to {distance:.1f} mm from its DICOM series (it was moved or cropped, or the series has gaps): "
            "fuse it as it was loaded.",
            "As after *Harden transform* or *Crop Volume*: other programs would show the series at another place than the "
            "MRI. A transform above the MRI does no harm.",
        ),
    ),
)
