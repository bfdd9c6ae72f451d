"""The exceptions a person is meant to read."""


class StudyError(Exception):
    """Something the user can mend; the message is one line that names the file, key or subject.

    Scripts and the command line print it without a traceback and exit non-zero.
    """


class Interrupted(Exception):
    """Work was asked to stop and left a checkpoint; running it again goes on from there.

    Scripts print the one line and exit with :data:`lmidiff.common.jobs.TRY_AGAIN`.
    """
