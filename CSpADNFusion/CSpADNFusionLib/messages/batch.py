"""Messages of ``fuse_batch.py``."""

from slicer.i18n import tr as _

from cspadn.messages import Message, Section

SECTION = Section(
    "Starting a batch in Slicer",
    "`fuse_batch.py` prints these before it fuses anything. See also *Cohorts and batches* below.",
    (
        Message(
            "batch-input-missing",
            _("The input is not clear: give either --pairs FILE.csv or --studies FOLDER."),
            "Exactly one of the two is needed.",
        ),
        Message(
            "batch-output-missing",
            _("The output is missing: give --output FOLDER."),
            "The folder is created if it does not exist.",
        ),
        Message(
            "batch-wrong-usage",
            _("wrong usage, {text}."),
            "An option of `fuse_batch.py` is wrong. `fuse_batch.py --help` explains the options.",
        ),
        Message(
            "batch-packages-missing",
            _("Fusion needs {packages}: press Apply once in the module, in Slicer's window, which installs what is missing."),
            "`fuse_batch.py` cannot ask. No pair was started.",
        ),
    ),
)
