"""Messages on the course of a run, and on unexpected errors."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "How a run ends",
    "A run that was cancelled writes nothing.",
    (
        Message(
            "fusion-cancelled",
            "The fusion was cancelled.",
            "The cancel file was created, or the `cancelled` function of a script returned True. Nothing was written.",
        ),
        Message(
            "measuring-cancelled",
            "The measurement was cancelled.",
            "The same, while the slices were measured. The fused volume is not kept either.",
        ),
        Message("run-interrupted", "Cancelled.", "Ctrl-C was pressed. Nothing was written."),
        Message(
            "run-terminated", "Terminated.", "The system, or another process, ended the run (SIGTERM). Nothing was written."
        ),
        Message(
            "cancel-folder-missing",
            "The folder of the cancel file {path} does not exist: create it first.",
            "`--cancel-file` must name a file in an existing folder. If that folder is removed during a run, the run ends.",
        ),
        Message(
            "temporary-folder-unsafe",
            "Other users can exchange files in the temporary folder {path}: set TMPDIR to a folder of your own.",
            "The folder belongs to another user, or everybody may rename files in it, and no folder could be made among your "
            "own files either.",
        ),
    ),
)

UNEXPECTED = Section(
    "Unexpected errors",
    "Please report these with the text and what was fused, but without images or headers of real patients.",
    (
        Message(
            "unexpected-error",
            "Unexpected error ({kind}: {text}): please report it.",
            "From the panel, a cohort or `fuse_batch.py`. In the panel, *details* shows where it happened; for "
            "`fuse_batch.py`, Slicer's log does.",
        ),
        Message(
            "unexpected-error-on-terminal",
            "Unexpected error ({kind}: {text}): please report it; 'python -X dev -m cspadn' shows where.",
            "From the command line. Run the same command again with `python -X dev -m cspadn` in place of `cspadn`, and add "
            "what it prints to the report.",
        ),
    ),
)
