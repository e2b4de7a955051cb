"""Messages on settings: windows, palettes, devices, memory."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "Windows, palettes, settings",
    "Options of the command line and settings from Python.",
    (
        Message(
            "window-invalid",
            "The {name} window runs from {lower:g} to {upper:g}: it needs two finite numbers, the lower one first.",
            "Black, then white, in the units of the volume, such as `--pet-window 0 8` with `--suv`.",
        ),
        Message(
            "volume-constant",
            "{volume} is empty: it does not contain two different intensities. Choose another image.",
            "No automatic window can be computed. For the PET, only the part inside the MRI's box counts. If that part is "
            "air, check the registration.",
        ),
        Message(
            "setting-not-a-choice",
            "The {setting} is '{value}': use one of {choices}.",
            "An option such as `--grid` or `--palette`, or a setting in Python. `cspadn fuse --help` lists the choices; "
            "capitals matter, as in `PET-Heat`.",
        ),
        Message(
            "palette-without-output",
            "A palette is for a colour volume or a page: name its file with --color or --report.",
            "The fused volume itself is grayscale, so that `--palette` alone has no effect.",
        ),
        Message(
            "setting-type",
            "The setting {setting} is of type {type}: it must be {expected}.",
            "From Python: a field of `FusionSettings`, for example a `Path` as model, which must be text.",
        ),
        Message(
            "setting-not-a-window",
            "The setting {setting} must be two numbers, the lower end and the upper end.",
            "From Python: `pet_window` or `mri_window`, such as `(0, 8)`.",
        ),
        Message(
            "setting-not-frames",
            "The frames '{value}' are not 'mean', a number N from 1 on, or two such numbers A:B in order: give one of these.",
            "Frames of a dynamic PET: `mean` is that of all frames, `3` is the third, `3:5` is the mean of the third to the "
            "fifth.",
        ),
        Message(
            "package-missing",
            "The Python package '{package}' is missing: install it with pip.",
            "The installation of `cspadn` is incomplete: run `pip install .` in a clone. In Slicer, enter "
            '`slicer.util.pip_install("NAME")` in the Python console.',
        ),
        Message(
            "report-package-missing",
            "The Python package '{package}' is missing: run pip install '.[report]' in a clone to install it.",
            "`--report` needs more packages than the rest. Nothing was fused yet.",
        ),
    ),
)

RESOURCES = Section(
    "Memory and device",
    "Choose another device, or free memory.",
    (
        Message(
            "device-unavailable",
            "The device '{device}' is not available: use one of {choices}.",
            "There is no such graphics card, or its driver does not fit this PyTorch. `--device auto`, or *Automatic* in the "
            "panel, takes the first device that works. `cspadn info` lists them.",
        ),
        Message(
            "memory-exhausted",
            "There is not enough memory for these volumes: close other programs, or crop the volumes.",
            "Crop the MRI to the head in *Crop Volume*, or use an MRI with larger voxels.",
        ),
        Message(
            "memory-limit",
            "There is not enough memory: this needs about {needed:.0f} MB more, and the limit of the process (ulimit) leaves "
            "{left:.0f} MB. Raise the limit, or crop the volumes.",
            "An administrator, a queueing system or the shell limits the memory of this process. `ulimit -v` shows the "
            "limit; the options of a job raise it.",
        ),
        Message(
            "memory-for-one-slice",
            "There is not enough memory to fuse even one slice: close other programs.",
            "The slices are very large, or little memory is free. Crop the MRI, or use a larger computer.",
        ),
        Message(
            "memory-to-read",
            "There is not enough memory to read {path}: close other programs.",
            "The file itself may be fine.",
        ),
        Message(
            "memory-to-write",
            "There is not enough memory to write {path}: close other programs.",
            "The fusion was completed, but nothing was written. Start it again when memory is free.",
        ),
        Message(
            "volume-exceeds-memory",
            "{volume} {path} has {gigabytes:.1f} GB of voxels, more than there is memory: crop it, or repair its header.",
            "This is checked before the voxels are read. For an ordinary head, such a size means a damaged header.",
        ),
    ),
)
