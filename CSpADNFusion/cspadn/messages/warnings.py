"""Warnings: the result is complete, but the user should look at it."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "Warnings",
    "The fusion was completed and the result is whole. Keep the warning in mind when you look at it.",
    (
        Message(
            "patient-uncertain",
            "The {value} of PET and MRI differs: check that both volumes are of one patient.",
            "One of patient ID, patient name and birth date differs, in the DICOM headers or in the JSON files beside "
            "the images: another hospital, a new name, or another patient.",
        ),
        Message(
            "overlap-small",
            "The PET covers only {share:.0%} of the MRI's foreground: the MRI is shown elsewhere.",
            "Less than half. Either the PET's field of view is small, which is no fault, or the registration is wrong: look "
            "at the borders. If this warning is absent, the registration can still be wrong.",
        ),
        Message(
            "nifti-forms-differ",
            "{file} holds two positions, up to {millimetres:.1f} mm apart: its sform was used, as in nibabel, SPM and FSL. "
            "Other programs may use its qform.",
            "A program such as SPM's *Coregister* wrote its alignment into the sform and left the qform of the scanner. 3D "
            "Slicer and other programs that are built on ITK may show the file at its qform.",
        ),
        Message(
            "nifti-without-position",
            "{file} has no position (its qform and sform codes are 0): it was centred at the origin, which is right only if "
            "the other volume is. Check the overlay, or register the pair.",
            "The NIfTI header has no position, often because the file was saved from an array. It was placed as nibabel and "
            "SPM do, with its columns to the left, its rows to the front and its slices to the head.",
        ),
        Message(
            "image-without-position",
            "{file} has no position in its header: its first voxel was placed at the origin, which is right only if that of "
            "the other volume is. Check the overlay, or register the pair.",
            "The NRRD or MetaImage header has neither an origin nor directions, often because the file was saved from an "
            "array. Its columns were taken to run to the left, its rows to the back and its slices to the head.",
        ),
        Message(
            "analyze-position",
            "{file} is an Analyze file, which says neither where its voxels lie nor which side is left: it was taken as "
            "nibabel and SPM do. Check left and right and the overlay, or give a NIfTI file.",
            "The format of the 1990s has no orientation. Convert the original images to NIfTI if they still exist.",
        ),
        Message(
            "frame-durations-unknown",
            "{volume} is the plain mean of {count} frames, as their durations are not known: long frames did not count more.",
            "Durations are read from DICOM headers, and from `FrameDuration` in the BIDS side file (`.json`) beside an image "
            "file, or above it in its dataset.",
        ),
        Message(
            "dicom-fewer-slices",
            "{volume} has {count} slices in an unbroken stack, {missing} fewer than its headers promise: make sure that none "
            "is missing at its ends.",
            "An interrupted transfer, a series that was cropped on purpose, or a header that counts differently.",
        ),
        Message(
            "dicom-negative-inverted",
            "{volume} is stored as a negative (MONOCHROME1): its grey values were inverted.",
            "The DICOM header says that the lowest value is white, and the air around the head is bright. PETs hold activity, "
            "which is never inverted.",
        ),
        Message(
            "slices-tilted",
            "The slices are tilted by {angle:.1f} degrees from the patient's axial plane: they were fused as they are stored.",
            "More than 5 degrees, as in oblique acquisitions. The networks were trained on upright slices: check the result, "
            "or resample the volume to upright slices first.",
        ),
        Message(
            "frames-of-reference-differ",
            "PET and MRI have different DICOM frames of reference: make sure that they are registered.",
            "Usual for two scanners or two sessions: before registration, equal coordinates are then different places. Check "
            "the overlay. If it fits, ignore this warning.",
        ),
        Message(
            "cohort-window-unfit",
            "The PET's own window would end at {upper:.6g}, that of the cohort ends at {cohort:.6g}: check units and dose.",
            "From `cspadn cohort`, which shows all PETs of a tracer in one window. The uptake of this one is more than 1.25 "
            "times as high, or less than a quarter: other units, another dose, or a bright lesion. `--windows pair` gives "
            "each pair its own window.",
        ),
        Message(
            "pair-misaligned",
            "PET and MRI seem to be {millimetres:.1f} mm and {degrees:.1f} degrees apart: compare their outlines, and "
            "register them, for example with '--register rigid' or 'cspadn register'.",
            "A short registration from where the pair lies found a better position, 3 mm or 4 degrees away or more. The pair "
            "was fused as it was given. The check can err where PET and MRI have little in common.",
        ),
        Message(
            "voxels-not-finite",
            "{volume} contains {count} voxels that are NaN or infinite: they were treated as background.",
            "Some programs write NaN outside the brain, which does no harm. Holes inside the head appear dark.",
        ),
        Message(
            "half-precision-ignored",
            "Half precision is for GPUs: the CPU computed in single precision.",
            "`--half` had no effect; the result is the usual one.",
        ),
        Message(
            "one-slice-at-a-time",
            "Out of memory with {count} slices at a time: the fusion continued with one at a time.",
            "Slower, with the same result. `OMP_NUM_THREADS` sets how many are fused at once.",
        ),
        Message(
            "smaller-batch",
            "Out of memory on {device}: the fusion continued with {count} slices at a time.",
            "The graphics card is small, or in use by another program. The fusion is slower, and the result is complete.",
        ),
        Message(
            "continued-on-cpu",
            "Out of memory on {device} with one slice: the fusion continued on the CPU.",
            "The fusion is slower, and the result is complete. Close other programs that use the graphics card, or choose "
            "the CPU from the start.",
        ),
        Message(
            "petprep-not-used",
            "PETPrep's derivatives lack a PET of {pet}, its transform or its T1w image: the dataset's own images were fused.",
            "In a cohort with derivatives of PETPrep: other subjects were fused with PETPrep's images and registration, this "
            "one was not. Run PETPrep for it, or give `--derivatives none` for all.",
        ),
        Message(
            "t1w-of-other-session",
            "The session of the PET has no T1w image: {mri} was used.",
            "In a cohort: the only T1w image of the subject, from another session. Make sure that the PET is registered to "
            "it.",
        ),
    ),
)
