"""Messages on the volumes, outputs and settings that are selected in the panel."""

from slicer.i18n import tr as _

from cspadn.messages import Message, Section

SECTION = Section(
    "Choosing volumes in the panel",
    "With most of these, *Apply* is disabled, and the text is its tooltip. In Python, they are exceptions of `cspadn.errors`.",
    (
        Message(
            "node-not-at-sform",
            "'{name}' lies up to {millimetres:.1f} mm from the sform of its file, at which SPM, FSL and nibabel place it: "
            "check the overlay.",
            "The NIfTI file holds two positions, and Slicer uses the other one, its qform. If SPM or another program aligned "
            "the file, register the pair, or give the file to `cspadn fuse`, which uses the sform.",
        ),
        Message(
            "node-without-position",
            "The file of '{name}' has no position: check left and right and the overlay, or register the pair.",
            "A NIfTI file whose qform and sform codes are 0, or an Analyze file.",
        ),
        Message(
            "sequence-frame-shown",
            "'{name}' is frame {number} of {count} of a sequence: only this frame was fused. Enter frames (mean, N or A:B) "
            "under Advanced to fuse others.",
            "A dynamic PET in a sequence. The frame that the sequence browser shows is fused unless *Frames* says otherwise.",
        ),
        Message(
            "sequence-frames-differ",
            "The frames of the sequence of '{name}' have different sizes or positions: enter one frame in Frames.",
            "Frames can be averaged only on one grid.",
        ),
        Message(
            "panel-select-pair",
            _("Select a PET and an MRI of the same head."),
            "The line under the inputs, as long as no usable pair is selected.",
        ),
        Message(
            "panel-pair-summary",
            _("PET {pet}, {units} · MRI {mri} · the PET covers {share:.0%} of the MRI"),
            "The line under the inputs describes the selected volumes: voxels, their size, the PET's units. With a small "
            "share, the two are not aligned. A large share only means that the fields of view overlap.",
        ),
        Message(
            "panel-slices-tilted",
            _("The slices are tilted by {angle:.0f}° against the patient's axial plane."),
            "In the same line, for slices that are tilted by more than 5 degrees: they are fused as they are stored.",
        ),
        Message(
            "panel-alignment-running",
            _("Checking the alignment..."),
            "A short registration is running beside Slicer.",
        ),
        Message(
            "panel-alignment",
            _("Alignment: {millimetres:.1f} mm and {degrees:.1f}° apart, as far as a short registration can tell."),
            "Below 3 mm and 4 degrees. Pairs that count as registered can differ by 2 mm. Check it visually with *Compare*.",
        ),
        Message(
            "panel-misaligned",
            _("Alignment: PET and MRI seem to be {millimetres:.1f} mm and {degrees:.1f}° apart. Press Register PET to MRI."),
            "3 mm or 4 degrees, or more. *Compare* shows both before and after the registration.",
        ),
        Message(
            "panel-alignment-unknown",
            _("Alignment: not known. Compare the outlines."),
            "The volumes are small, show another part of the body, or have little in common.",
        ),
        Message(
            "select-pet-and-mri",
            _("Select a PET and an MRI volume."),
            "One of the two selectors is empty, for example because its volume was deleted from the scene.",
        ),
        Message(
            "select-two-volumes",
            _("Select two different volumes."),
            "PET and MRI are the same node. If both were loaded under one name, rename one in the module *Data*.",
        ),
        Message(
            "node-without-voxels",
            _("The volume '{name}' contains no voxels: load it again, or choose another."),
            "The node has a name but no image: loading it failed, or it was created as the empty output of another module.",
        ),
        Message(
            "node-not-finite",
            _("The volume '{name}' contains no finite intensities: choose another."),
            "All voxels are NaN or infinite, as after a division by zero in another program. Create or load the volume again.",
        ),
        Message(
            "node-constant",
            _("The volume '{name}' is empty: all its voxels are equal. Choose another."),
            "Often a mask, or an output that was never filled. Look at it in *Volumes*, and select the image itself.",
        ),
        Message(
            "nodes-do-not-overlap",
            _("PET and MRI do not overlap in space: register them first, or check their origins."),
            "They lie at different places, as images of two scanners often do. Register the PET to the MRI, for example with "
            "*General Registration (BRAINS)* or *General Registration (Elastix)*, or check in *Transforms* that the PET is "
            "under the right transform.",
        ),
        Message(
            "node-position-degenerate",
            _("The position of '{name}' in space is degenerate: check its spacing, directions and transforms."),
            "Its spacing, its directions or its transform make it flat (such as a scale of 0), or are not usable numbers. "
            "See *Volumes*, section *Volume Information*, and *Transforms*.",
        ),
        Message(
            "output-node-is-input",
            _("Select an output volume that is not an input."),
            "The fused volume would replace the PET or the MRI. Choose another, or keep the default, a new volume.",
        ),
        Message(
            "colour-node-not-a-vector-volume",
            _("Select a vector volume for the colours."),
            "From Python: `colorOutputNode` must be a `vtkMRMLVectorVolumeNode`.",
        ),
        Message(
            "colour-node-is-used",
            _("Select a colour volume that is neither an input nor the fused volume."),
            "Each output needs a volume of its own. By default, a new one is created.",
        ),
        Message(
            "metrics-node-not-a-table",
            _("Select a table for the metrics."),
            "From Python: `metricsTableNode` must be a `vtkMRMLTableNode`.",
        ),
        Message(
            "panel-window-units",
            _("The window of the PET is in {units}."),
            "Under *Windows*: the units of the volume, as its DICOM headers or another module give them.",
        ),
        Message(
            "panel-window-units-unknown",
            _("The units of the PET are not known."),
            "Under *Windows*: the volume comes from a file without units. The window is in the numbers of the volume.",
        ),
        Message(
            "panel-window-suv",
            _("In SUV by body weight: {lower:.3g} to {upper:.3g}."),
            "Under *Windows*, for a PET in Bq/ml from Slicer's DICOM database whose headers have dose, times and weight.",
        ),
        Message(
            "presets-without-units",
            _("Presets need a PET in SUV or SUVr, or DICOM headers from which SUV can be computed."),
            "Under *Windows*: no preset can be used. Load the PET from Slicer's DICOM database, with dose, times and weight "
            "in its headers, or enter black and white yourself.",
        ),
        Message(
            "presets-of-other-quantity",
            _("Only presets in {quantity} can be used."),
            "Under *Windows*: the values of the PET are in one quantity, and the other presets are in another. SUVr needs a "
            "volume that was divided by the mean uptake of a reference region.",
        ),
        Message(
            "preset-needs-quantity",
            _("This preset needs a PET in {quantity}."),
            "The tooltip of a preset that is disabled: the units of the volume are others, or are not known.",
        ),
        Message(
            "window-not-in-order",
            _("Choose a lower end of the {name} window that is below its upper end."),
            "Under *Windows*. Enter black first, then white, in the units of the volume, or check *PET window automatic* or "
            "*MRI window automatic*.",
        ),
        Message(
            "weights-file-unusable",
            _("Choose an existing weights file whose name ends in .safetensors, or none."),
            "Under *Advanced*. The file was moved, or the scene comes from another computer. Clear the field to use the "
            "model above it.",
        ),
        Message(
            "wait-for-run",
            _("Wait for the running fusion or registration, or cancel it."),
            "Only one of the two can run at a time.",
        ),
        Message(
            "sample-data-not-loaded",
            _("The sample data could not be loaded."),
            "After *Try it on sample data*; the reason follows. The files come with the extension and are copied to Slicer's "
            "cache: check the space on the disk, or install the extension again.",
        ),
        Message(
            "sample-file-not-read",
            _("Slicer cannot read {name}."),
            "A file of the sample data. Check that the module *Volumes* is enabled, and remove the file from Slicer's cache "
            "(*Edit > Application Settings > Cache*).",
        ),
        Message(
            "replace-outputs",
            _("This replaces the data of {names}. Continue?"),
            "A selected output contains data. Answer no, the default, and choose a new volume or table, to keep them.",
        ),
    ),
)
