"""Run a module of this package: ``python run_module.py cspadn ARGUMENTS``, in place of ``python -m cspadn ARGUMENTS``.

``python -m`` and ``python -c`` import from the working folder first, so that a file such as ``numpy.py`` in a dataset would be
executed. Python 3.11 has PYTHONSAFEPATH against this; a script works in all versions, because its own folder comes first.
Nothing may be imported here before the module path is clean.
"""

import os
import sys

_PACKAGE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120


def clean_module_path(from_working_folder: bool = False) -> None:
    """Remove the folder of this file, and what depends on the working folder, from the module path.

    A relative or empty entry of PYTHONPATH is one of these, although Python has made it absolute.

    Args:
        from_working_folder: the first entry is the working folder, which ``python -m`` has put there.
    """
    parent = os.path.dirname(_PACKAGE)  # noqa: PTH120
    given = os.environ["PYTHONPATH"].split(os.pathsep) if os.environ.get("PYTHONPATH") else []
    relative = {os.path.abspath(each) for each in given if not os.path.isabs(each)}  # noqa: PTH100, PTH117
    relative -= {os.path.abspath(each) for each in given if os.path.isabs(each)}  # noqa: PTH100, PTH117
    entries = sys.path[1:] if from_working_folder and not getattr(sys.flags, "safe_path", False) else sys.path
    unwanted = {_PACKAGE, *relative} - {parent}
    kept = [each for each in entries if os.path.isabs(each) and os.path.abspath(each) not in unwanted]  # noqa: PTH100, PTH117
    sys.path[:] = kept if parent in kept else [parent, *kept]


if __name__ == "__main__":
    clean_module_path()
    import runpy

    name = sys.argv.pop(1)
    runpy.run_module(name, run_name="__main__", alter_sys=True)
