"""Pages to look at: planes, plots and HTML."""

from cspadn.report.pages import subject_page

__all__ = ["subject_page"]
