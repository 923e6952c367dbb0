"""What a person sees in a terminal: tables, and a run as it happens. Prose goes to standard error."""

from attnbench.terminal.run_view import RunView
from attnbench.terminal.screen import Listing, console, say
from attnbench.terminal.tables import checks_table, exponents_text, facts_table, findings_table, laws_table, plan_table

__all__ = [
    "Listing",
    "RunView",
    "checks_table",
    "console",
    "exponents_text",
    "facts_table",
    "findings_table",
    "laws_table",
    "plan_table",
    "say",
]
