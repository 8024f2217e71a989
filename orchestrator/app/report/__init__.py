"""The report of one execution: a pure model of what happened, and its JSON, Markdown and HTML."""

from orchestrator.app.report.build import build
from orchestrator.app.report.markdown import markdown
from orchestrator.app.report.model import Report
from orchestrator.app.report.page import page
from orchestrator.app.report.writing import ReportPaths, write

__all__ = ["Report", "ReportPaths", "build", "markdown", "page", "write"]
