"""HTML pages with views and plots, for quality control."""

from cspadn.report.pages import subject_page

__all__ = ["subject_page"]
