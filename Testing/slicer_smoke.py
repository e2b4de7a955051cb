"""Run by a real Slicer: open the module, press what can be pressed, run its self test, and print one line with the verdict.

Slicer --testing --additional-module-paths CSpADNFusion --python-script Testing/slicer_smoke.py
"""

import traceback

import slicer


def check() -> None:
    """Raises where something is not as it should be."""
    slicer.util.selectModule("CSpADNFusion")
    widget = slicer.modules.cspadnfusion.widgetRepresentation().self()
    widget.ui.sampleDataButton.click()
    slicer.app.processEvents()
    assert widget.ui.applyButton.enabled, widget.ui.applyButton.toolTip
    assert "99%" in widget.ui.pairLabel.text, widget.ui.pairLabel.text
    if missing := widget.logic.missingPackages():
        raise AssertionError(f"not installed: {', '.join(missing)}")

    from CSpADNFusion import CSpADNFusionTest

    CSpADNFusionTest().runTest()


def main() -> int:
    """The exit code."""
    try:
        check()
    except Exception as error:
        traceback.print_exc()
        print(f"VERDICT CSpADNFusion in Slicer {slicer.app.applicationVersion}: failed, {error}", flush=True)
        return 1
    print(f"VERDICT CSpADNFusion in Slicer {slicer.app.applicationVersion}: passed", flush=True)
    return 0


slicer.util.exit(main())
