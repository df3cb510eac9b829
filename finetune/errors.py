"""The one kind of error that a user can mend. Anything else that is raised is a bug and shows as one."""

from __future__ import annotations


class FinetuneError(Exception):
    """What is wrong, where, and what to do about it.

    Args:
        message: one sentence that says what is wrong.
        hint: one sentence that says what to do.
        row: source row, 1 = the first data row.
        column: name of the column.
    """

    def __init__(self, message: str, *, hint: str = "", row: int | None = None, column: str | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.row = row
        self.column = column

    def __str__(self) -> str:
        place = ", ".join(
            part
            for part in (f"row {self.row}" if self.row else "", f"column “{self.column}”" if self.column else "")
            if part
        )
        text = f"{self.message} ({place})" if place else self.message
        return f"{text} {self.hint}".strip()

    def as_json(self) -> dict:
        """The object of the command line's contract: ``{"error": {"message", "hint", "row", "column"}}``."""
        return {"error": {"message": self.message, "hint": self.hint, "row": self.row, "column": self.column}}


class Cancelled(Exception):
    """The user ended a long look at the data; raised by the `tell` that they gave, and by nothing else."""
