"""Options of one command in, its help with a section for each panel out.

Typer knows panels only with Rich, whose import would double the time that help takes.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

_UNNAMED = "Options"


class PanelledCommand(TyperCommand):
    """Lists options under their ``rich_help_panel``, those without one last."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections, in the order in which the command names their first options."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            listed = parameter.get_help_record(ctx)
            if listed:
                panel = getattr(parameter, "rich_help_panel", None) or _UNNAMED
                panels.setdefault(panel, []).append(listed)
        for panel in sorted(panels, key=lambda panel: panel == _UNNAMED):
            with formatter.section(panel):
                formatter.write_dl(panels[panel])
