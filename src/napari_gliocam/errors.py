"""Errors that a user meets: one sentence that names the file or setting and the remedy."""

from __future__ import annotations


class GliocamError(Exception):
    """Base of every error that is shown to a user as it is, without a traceback."""

    #: Whether work had begun when it came: what was asked for was right then.
    begun = False

    def __str__(self) -> str:
        """Return the sentence; parts of file names that are no valid UTF-8 become ``?``."""
        return super().__str__().encode("utf-8", "replace").decode("utf-8")


class CaseError(GliocamError):
    """A case, or a file of it, cannot be read as it is."""


class UnpreparedError(CaseError):
    """The files of a case have to be aligned, resampled or skull-stripped first."""


class BundleError(GliocamError):
    """A bundle of weights is damaged, foreign, or does not fit the case."""


class DeviceError(GliocamError):
    """The device that was asked for is not there."""


class SaveError(GliocamError):
    """A result could not be written; what lay there before is untouched."""


class TrainingError(GliocamError):
    """A recipe, or the slices to train with, cannot be used as they are."""
