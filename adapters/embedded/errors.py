"""The one error that this folder raises."""


class EmbeddedServerError(Exception):
    """An embedded server cannot be started or stopped; the message is one line for a person, and says what to do."""
