"""Messages on intensities: windows, padding, and volumes that do not look like a PET or an MRI."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "Intensities",
    "Each volume is shown in one window for all its slices, and must look like what it is said to be.",
    (
        Message(
            "window-above-volume",
            "The window {lower:g} to {upper:g} shows nothing of {volume}, whose values end at {highest:g}: choose a lower "
            "window, or the automatic one.",
            "All of the volume would be black or nearly so. Often a window in other units, such as Bq/ml for a PET in SUV.",
        ),
        Message(
            "window-below-volume",
            "The window {lower:g} to {upper:g} shows all of {volume} in white, whose values begin at {lowest:g}: choose a "
            "higher window, or the automatic one.",
            "Often a window in other units, such as SUV for a PET in Bq/ml.",
        ),
        Message(
            "same-voxels-twice",
            "PET and MRI hold the same voxels: one image was given twice. Give the PET and the MRI of one head.",
            "The same file under two names, or one node in both selectors.",
        ),
        Message(
            "volume-is-mask",
            "{volume} holds only two different values: it is a mask. Give the image itself.",
            "A segmentation was chosen instead of the image that it was made from.",
        ),
        Message(
            "padding-taken-as-background",
            "{share:.1%} of the voxels of {volume} are padding (a constant far from all other values): they were treated as "
            "background.",
            "Converters and resampling fill voxels without a measurement with values such as -1000 or -32768. If these voxels "
            "are real, give the window yourself.",
        ),
        Message(
            "window-hardly-reached",
            "The window {lower:g} to {upper:g} shows {volume} nearly black: its values end at {highest:g}.",
            "No voxel reaches a tenth of the window that was given. Check its units.",
        ),
        Message(
            "looks-like-segmentation",
            "{volume} looks like a segmentation: {share:.0%} of its neighbouring voxels are equal. Check that it is an image.",
            "A label map was chosen instead of the image that it was made from. Images whose values were reduced to very few "
            "levels look the same.",
        ),
        Message(
            "pet-sharper-than-mri",
            "The PET shows finer detail than the MRI: check that the two are not swapped.",
            "Measured from the voxels, as NIfTI files do not name their modality. How often this warning is wrong is in "
            "docs/validity.md. If the order is right, ignore it.",
        ),
    ),
)
