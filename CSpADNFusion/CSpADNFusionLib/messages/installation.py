"""Messages on PyTorch and the other packages that a fusion needs."""

from slicer.i18n import tr as _

from cspadn.messages import Message, Section

SECTION = Section(
    "Installing PyTorch and packages",
    "*Apply* checks whether the packages that a fusion needs are installed, and asks before it installs any. Most failures "
    "here come from networks that block downloads, such as those of hospitals.",
    (
        Message(
            "torch-not-installed",
            _("PyTorch is not installed yet: Apply asks before it installs it."),
            "At the foot of the panel. Nothing to do before the first *Apply*.",
        ),
        Message(
            "torch-and-device",
            _("PyTorch {version}; device: {device}"),
            "At the foot of the panel: the installed version, and the selected device.",
        ),
        Message(
            "torch-and-devices",
            _("PyTorch {version}; available: {devices}"),
            "The same after *Advanced* was opened: the processors and graphics cards of this computer that can compute.",
        ),
        Message(
            "install-torch",
            _(
                "Fusion needs PyTorch, which is not installed yet.\n\nThe PyTorch extension will download and install it, with"
                " torchvision: about 200 MB for the CPU alone, several GB with an NVIDIA graphics card. This takes some"
                " minutes.\n\nInstall it now?"
            ),
            "*Yes* installs it into this Slicer. *No*, the default, changes nothing. The network must allow the download.",
        ),
        Message(
            "installation-declined",
            _("Not started: the packages that a fusion needs were not installed. Press Apply to be asked again."),
            "The question was answered with no. Volumes and settings are unchanged.",
        ),
        Message(
            "torch-extension-missing",
            _("Fusion needs PyTorch. Install the PyTorch extension (Extensions Manager), restart Slicer, and try again."),
            "PyTorch is installed through an extension of its own, *PyTorch*, which this Slicer does not have.",
        ),
        Message(
            "torch-installation-failed",
            _("PyTorch could not be installed: {error}. The module PyTorch Utils offers other versions."),
            "Usually the download failed, or the disk is full. *PyTorch Utils* can install another version, or a build for "
            "the CPU alone.",
        ),
        Message(
            "torch-too-old",
            _("PyTorch is too old, fusion needs {version}: uninstall it in PyTorch Utils, restart Slicer, press Apply."),
            "Another extension installed an older version. After the restart, *Apply* installs a newer one. The other "
            "extension may depend on the old one.",
        ),
        Message(
            "packages-not-installed",
            _("These Python packages could not be installed: {names}. Check the connection, and see Slicer's log."),
            "Small packages besides PyTorch (safetensors, filelock). Slicer's log contains the output of pip.",
        ),
        Message(
            "packages-not-importable",
            _("Fusion needs {packages}, which could not be installed: restart Slicer, and press Apply again."),
            "The installation ended without an error, but the package cannot be imported. This also happens in a Slicer that "
            "was started with `--testing`, which installs nothing.",
        ),
        Message(
            "torch-not-installed-in-tests",
            _("Fusion needs PyTorch, which is not installed while Slicer is tested: start Slicer without --testing."),
            "With `--testing`, Slicer answers every question with yes.",
        ),
        Message(
            "packages-missing",
            _("Fusion needs {packages}: press Apply in the module once, which installs what is missing."),
            "From the Python console or a script: `fuse` never installs anything by itself.",
        ),
        Message(
            "self-test-skipped",
            _("Skipped, because the model cannot run: {reason}"),
            "Only in the module's self test: PyTorch or a small package is missing, and the test ends there.",
        ),
    ),
)
