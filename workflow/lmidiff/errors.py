"""The one exception a person is meant to read."""


class StudyError(Exception):
    """Something the user can mend; the message is one line that names the file, key or subject.

    Scripts and the command line print it without a traceback and exit non-zero.
    """
