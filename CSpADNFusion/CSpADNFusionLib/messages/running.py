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
            "moved-while-preparing",
            _("PET or MRI was moved or deleted while the run was prepared: start it again."),
            "Before a fusion, a volume under a non-linear transform is interpolated slice by slice, during which Slicer can "
            "be used.",
        ),
        Message(
            "registration-running",
            _("Registering the PET to the MRI..."),
            "It takes some seconds. Its steps differ in length, so that no remaining time is shown.",
        ),
        Message(
            "panel-registered",
            _("Registered: the brain was moved by {millimetres:.1f} mm on average, and by {degrees:.1f}°. Check it."),
            "The PET is under a linear transform now, which *Undo* removes. A registration can be wrong: look at *Compare*.",
        ),
        Message(
            "registration-undone",
            _("The PET is where it was before the registration."),
            "After *Undo*: the PET was taken out of the transform of the registration.",
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
            "fusion-already-running",
            _("A fusion or registration is already running: wait for it, or cancel it."),
            "From a script that calls `startFusion` or `startRegistration` during another run: only one can run at a time.",
        ),
        Message(
            "fusion-not-started",
            _("It could not be started: {error}"),
            "A fusion or a registration. The volumes are first copied to Slicer's temporary folder, and a process is started: "
            "check the space there. *details* shows the place in the code.",
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
            "registration-killed",
            _("The system ended the registration, perhaps because memory ran out: close other programs, and try again."),
            "The system killed the process, as Linux does when memory runs out.",
        ),
        Message(
            "registration-crashed",
            _("The registration stopped unexpectedly (exit code {code}): the details show its last lines."),
            "The process ended without a message, as in a crash of a library. Please report it.",
        ),
        Message(
            "registration-not-linear",
            _("The registration needs linear transforms: take PET and MRI out of the non-linear transform, or harden it."),
            "A non-linear transform lies between the two volumes. See the module *Transforms*.",
        ),
        Message(
            "registration-node-deleted",
            _("PET or MRI was deleted during the registration: choose both again."),
            "One of the volumes was removed from the scene, so that there was nothing to move.",
        ),
        Message(
            "registration-node-moved",
            _("PET or MRI was moved during the registration: press Register PET to MRI again."),
            "A transform or a position was changed meanwhile, so that the result does not fit.",
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
            "recolouring-needs-inputs",
            _("The colours of the last result stay: its PET, MRI or colour volume is gone. Press Apply to use the palette."),
            "The palette or the weight of the PET was changed. The colours are computed from PET, MRI and fused volume.",
        ),
        Message(
            "recolouring-after-move",
            _("The colours of the last result stay, because PET or MRI was moved: press Apply to use the palette."),
            "The palette or the weight of the PET was changed after a transform. The fused volume is out of date anyway.",
        ),
        Message(
            "pet-below-pointer",
            _("PET below the pointer: {value:.4g} {units}"),
            "In the comparison: the value of the nearest voxel of the PET, in its units if they are known.",
        ),
        Message(
            "metrics-table-deleted",
            _("The table of the last result is no longer in the scene: press Apply again."),
            "It was deleted after the run. Press *Apply* with *Metrics table* checked.",
        ),
    ),
)
