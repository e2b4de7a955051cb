"""Messages on registering a PET to an MRI, and on the check of their alignment."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "Registration",
    "`cspadn register`, `cspadn fuse --register rigid` and the check of the alignment compare the heads in PET and MRI.",
    (
        Message(
            "registration-no-match",
            "The PET was not registered to the MRI: in no position do the two look like the same head. Check that both show "
            "the head of one patient, or register them by hand.",
            "One of the volumes shows another part of the body or hardly any signal, its header gives a wrong orientation, or "
            "the head is turned by more than 45 degrees. In Slicer, *Transforms* moves a volume by hand.",
        ),
        Message(
            "registration-too-small",
            "{volume} measures only {extent:.0f} mm along one axis: give a volume of at least {least:.0f} mm to register it.",
            "A thin stack of slices, or a cut-out region. Too little of a head is left to find its position.",
        ),
        Message(
            "registration-cancelled",
            "The registration was cancelled: nothing was written.",
            "Somebody cancelled it, or closed the application that had started it.",
        ),
        Message(
            "registration-written",
            "{path} was written: it moves the brain by {millimetres:.1f} mm on average, and by {degrees:.1f} degrees.",
            "`cspadn register` has finished. Look at the overlay: a registration can be wrong.",
        ),
        Message(
            "fused-registered",
            "The PET was registered to the MRI, and moved by {millimetres:.1f} mm and {degrees:.1f} degrees.",
            "`cspadn fuse --register` has finished. Look at the outlines on its page: a registration can be wrong.",
        ),
        Message(
            "alignment-checked",
            "PET and MRI are {millimetres:.1f} mm and {degrees:.1f} degrees apart, as far as a short registration can tell.",
            "`cspadn fuse` has checked the alignment. From 3 mm or 4 degrees on, a warning appears. Real pairs that "
            "count as registered can differ by 2 mm.",
        ),
        Message(
            "alignment-unknown",
            "How far PET and MRI are apart was not determined: {reason}.",
            "From `cspadn register --check`. The volumes are small, show another part of the body, or have little in common. "
            "Compare their outlines.",
        ),
        Message(
            "registration-matrix-damaged",
            "The fused file's entry {key} is not a matrix ({text}): repair it, or remove it.",
            "A file that `cspadn fuse --register rigid` made was changed by hand or by another program. `cspadn metrics` "
            "needs the matrix to place the PET as the fusion did.",
        ),
        Message(
            "report-needs-registration",
            "--check writes nothing: leave out --report, or give --output instead of --check.",
            "The page of `cspadn register --report` shows PET and MRI before and after the registration.",
        ),
        Message(
            "registration-of-pictures",
            "PNG pictures cannot be registered: give volumes, or leave out --register.",
            "A picture has no position in space and only one slice.",
        ),
    ),
)
