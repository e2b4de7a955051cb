"""Sphinx: ``make docs`` builds the documents of this repository, and the reference of the library, without a warning.

The source folder is the whole repository, so that links between documents are the same here as where the files are browsed.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "CSpADNFusion"))

import cspadn  # noqa: E402

project = "SlicerCSpADNFusion"
author = copyright = "SlicerCSpADNFusion contributors"  # noqa: A001  Sphinx calls it so
version = release = cspadn.__version__

root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "CSpADNFusion/Resources/**.md"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_heading_anchors = 4
smartquotes = False  # what is searched for must stand as it is printed
suppress_warnings = ["myst.header"]  # a table below a title may have a small heading

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"CSpADNFusion {release}"
html_logo = "../CSpADNFusion/Resources/Icons/CSpADNFusion.png"
html_copy_source = False
