"""Messages on measuring fused images."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "Metrics",
    "`cspadn metrics` measures with the windows of the fusion. A fused NRRD or MetaImage file contains them. For other "
    "formats, you may have to give them.",
    (
        Message(
            "fused-does-not-overlap",
            "{volume} and the fused volume do not overlap in space: give the files that were fused.",
            "Usually the files of another subject, or a PET before its registration.",
        ),
        Message(
            "fused-scale-unknown",
            "The fused volume's values run from {lowest:g} to {highest:g}, not from 0 to {maximum:g}: give its black and "
            "white with the fused window (--fused-window LO HI).",
            "A volume of another program, such as 0 to 1 or 0 to 255, the wrong file, or another order than PET, MRI, FUSED.",
        ),
        Message(
            "pet-units-differ",
            "The fused volume was made from a PET in {recorded}, but this PET is in {units}: convert it to the same units "
            "(--suv).",
            "Fused with `--suv` and measured without, or the reverse. Otherwise this is a different PET.",
        ),
        Message(
            "recorded-window-invalid",
            "The entry {key} of the fused file is not a window ({text}): repair it, or give the windows.",
            "The header was edited. Give `--pet-window` and `--mri-window` as in the fusion.",
        ),
        Message(
            "measured-sizes-differ",
            "The PET has {pet}, the MRI {mri}, the fused image {fused} pixels: give images of one size.",
            "PNGs, or arrays from Python: measure the images as they were fused, without resizing.",
        ),
        Message(
            "levels-not-finite",
            "{volume} contains NaN or infinity: replace them with gray levels first.",
            "From Python: `measure` takes arrays of finite gray levels. For volumes with NaN, use `measure_volumes`.",
        ),
        Message(
            "metric-unknown",
            "There is no metric '{metric}': choose from {choices}.",
            "From Python: names have capitals as in the README, such as `Qabf`.",
        ),
    ),
)
