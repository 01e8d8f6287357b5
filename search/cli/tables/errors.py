"""What is wrong with a table, before it is known which option of which command named it."""


class TableError(ValueError):
    """What a table must be, and what this one is instead: ``one separator, not ',' and ';'``."""

    def of_file(self, what: str, path: object) -> str:
        """Return the message on a file.

        Args:
            what: names it, as the option that was given.
            path: of the file.
        """
        return f"{what} must be a table with {self}. Received: {str(path)!r}"


class UnreadableTable(TableError):
    """Why a file is none that can be read at all."""

    def of_file(self, what: str, path: object) -> str:
        """Return the message on a file."""
        return f"{what} must be a table that can be read. Received: {str(path)!r} ({self})"


class WrongOption(TableError):
    """What a user says of a table, and does not hold: a whole message."""

    def of_file(self, what: str, path: object) -> str:
        """Return the message on a file."""
        return f"{self}, of {str(path)!r}"
