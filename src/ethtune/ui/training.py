"""A finished training on the terminal: the summary, or its figures as JSON."""

from __future__ import annotations

from ethtune.services.session import TrainingReport
from ethtune.ui.summary import summary
from ethtune.ui.terminal import show, show_json


def show_training(report: TrainingReport, *, as_json: bool) -> None:
    """Print to stdout."""
    if as_json:
        show_json(report.as_dict())
    else:
        forecast = report.forecast
        show(
            summary(
                report.state,
                report.run,
                predicted_bytes=forecast.process_bytes if forecast else None,
                predicted_step_seconds=forecast.step_seconds if forecast else None,
            )
        )
