"""Messages on a run in the panel: its progress, its end, and its result."""

from slicer.i18n import tr as _

from cspadn.messages import Message, Section

SECTION = Section(
    "While it runs",
    "The panel shows these between *Apply* and the result, and when a run ends.",
    (
        Message(
            "slices-done",
            _("{step}: {done} of {total} slices"),
            "Progress: first the fusion, then the measurement, if *Metrics table* is checked.",
        ),
        Message(
            "fusion-stopping",
            _("Stopping... (press again to end it at once)"),
            "A cancelled run ends before its next slice. The second press ends the process at once. The scene is unchanged "
            "either way.",
        ),
        Message(
            "stopped-with-scene",
            _("Stopped: the scene was closed."),
            "Closing the scene ended the fusion of its volumes. Load the volumes, and press *Apply* again.",
        ),
        Message(
            "mean-of-slices",
            _("Mean of the slices: {means}"),
            "The metrics of the run that has just ended. The table contains the single slices.",
        ),
        Message(
            "fusion-already-running",
            _("A fusion is already running: wait for it, or cancel it."),
            "From a script that calls `startFusion` during another run: only one can run at a time.",
        ),
        Message(
            "fusion-not-started",
            _("The fusion could not be started: {error}"),
            "The volumes are first copied to Slicer's temporary folder, and a process is started: check the space there. "
            "*details* shows the place in the code.",
        ),
        Message(
            "output-node-deleted",
            _("The output was deleted while the fusion ran: press Apply again."),
            "A selected output volume or table was removed from the scene, so that the result could not be stored.",
        ),
        Message(
            "result-not-stored",
            _("The result could not be put into the scene: the details show why. Please report it."),
            "The fusion itself was completed, but not its last step in Slicer. New volumes and tables of the run were "
            "removed again.",
        ),
        Message(
            "result-unreadable",
            _("The result cannot be read: {error}"),
            "The run was completed, but its file in Slicer's temporary folder could not be read: the folder was cleared, or "
            "memory was short. Press *Apply* again.",
        ),
        Message(
            "fusion-killed",
            _("The system ended the fusion, perhaps because memory ran out: close other programs, and try again."),
            "The system killed the process, as Linux does when memory runs out. Cropping the MRI in *Crop Volume* also helps.",
        ),
        Message(
            "fusion-crashed",
            _("The fusion stopped unexpectedly (exit code {code}): the details show its last lines."),
            "The process ended without a message, as in a crash of a library or a driver. Under *Advanced*, try the device "
            "CPU.",
        ),
        Message(
            "no-window-for-comparison",
            _("There is no window for the comparison."),
            "Slicer runs without its main window.",
        ),
        Message(
            "no-window-for-plot",
            _("There is no window for the plot."),
            "Slicer runs without its main window. The table contains the numbers.",
        ),
        Message(
            "result-outdated",
            _("PET or MRI differs from the last fused pair, or was moved since: press Apply to compare."),
            "The comparison shows PET, MRI and blend. The view of the fused volume stays empty, because the last result does "
            "not fit.",
        ),
        Message(
            "metrics-table-deleted",
            _("The table of the last result is no longer in the scene: press Apply again."),
            "It was deleted after the run. Press *Apply* with *Metrics table* checked.",
        ),
    ),
)
