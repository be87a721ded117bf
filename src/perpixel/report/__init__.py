"""What happened in a run and how good its model is, on one page."""

from perpixel.report.page import write_report

__all__ = ["write_report"]
