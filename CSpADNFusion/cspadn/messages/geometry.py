"""Messages on the position of volumes in space, on their overlap, and on what kind of volume they are."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "Position, overlap and kind of volume",
    "PET and MRI are fused in physical space. They must be registered to each other, and each must be one plain volume.",
    (
        Message(
            "patients-differ",
            "PET and MRI are of different patients, by their {values}: give two volumes of one patient.",
            "Two or more of patient ID (with its issuer), patient name and birth date differ, in the headers of the two DICOM "
            "series or in the JSON files beside the images. The message does not quote them. If the images were anonymised in "
            "different ways, correct one of them.",
        ),
        Message(
            "volume-two-dimensional",
            "{volume} is a two-dimensional image: give a volume.",
            "One slice was saved as a picture. A volume needs three dimensions, even if it has only one slice. Two PNGs are "
            "fused as pictures.",
        ),
        Message(
            "volume-not-three-dimensional",
            "{volume} has {dimensions} dimensions: extract one three-dimensional frame first.",
            "Usually a dynamic PET or another time series in a 4D NIfTI file. Average its frames, or extract one.",
        ),
        Message(
            "frames-not-chosen",
            "{volume} is dynamic, with {count} frames: choose with --frames mean (all, weighted by their durations), N (one, "
            "counted from 1) or A:B (the mean of A to B).",
            "A 4D image, or a DICOM series with several times. From Python, the setting `frames`; in the panel, *Frames* "
            "under *Advanced*.",
        ),
        Message(
            "frames-missing",
            "{volume} has {count} frames, not the frames {frames}: choose among 1 to {count}.",
            "Frames are counted from 1. A volume of three dimensions has one frame.",
        ),
        Message(
            "volume-not-scalar",
            "{volume} has {components} values per voxel: give a volume with one value per voxel, not colours or vectors.",
            "A colour volume (such as the one that this extension makes for display), or a deformation field.",
        ),
        Message(
            "volume-complex",
            "{volume} contains complex numbers: give their magnitude.",
            "Raw MRI data. Export the magnitude image from the scanner or the reconstruction.",
        ),
        Message(
            "position-not-finite",
            "The position of {volume} in space is not finite: repair its origin, spacing and direction.",
            "The geometry contains NaN or infinity. Convert the image again, or correct it in Slicer's module *Volumes*, "
            "section *Volume Information*.",
        ),
        Message(
            "position-degenerate",
            "The position of {volume} in space is degenerate: repair its spacing and direction.",
            "A spacing is 0, or the directions do not span three dimensions. Convert the image again.",
        ),
        Message(
            "no-overlap",
            "The PET and the MRI do not overlap in space: register them first, or check their origins.",
            "No slice of the MRI meets the PET. Register them in Slicer, for example with *General Registration (BRAINS)* or "
            "*General Registration (Elastix)*, harden the PET's transform in *Transforms*, and save the PET.",
        ),
        Message(
            "overlap-too-small",
            "The PET covers only {share:.2%} of the MRI's foreground: register them first, or check their origins.",
            "The images hardly overlap (less than 1 %). Between 1 % and 50 %, this is only a warning.",
        ),
        Message(
            "pet-empty-in-mri",
            "The PET is empty inside the MRI's box: register them first, or check their origins.",
            "The MRI's box contains only air of the PET: the PET shows the head elsewhere.",
        ),
        Message(
            "pet-and-mri-swapped",
            "The {name} is a DICOM series of modality {modality}: swap PET and MRI.",
            "The two inputs were swapped, or a fused series (MR) was given as the PET. The PET comes first. In NIfTI and "
            "NRRD files, the modality is unknown.",
        ),
    ),
)
