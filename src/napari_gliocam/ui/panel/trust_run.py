"""How far the result in work can be trusted, measured when all is at rest."""

from __future__ import annotations

from napari_gliocam.trust.statement import TrustStatement, state_trust
from napari_gliocam.ui.jobs.jobs import Jobs
from napari_gliocam.ui.model.connections import Connections
from napari_gliocam.ui.model.state import OpenCase, State
from napari_gliocam.ui.viewer.navigate import MEASURING

#: The range follows when nothing was changed for so long; labels and volumes come first.
REST_MS = 600


class CaseTrust:
    """Keeps `OpenCase.trust` of the case in work up to date.

    Parameters
    ----------
    state : State
        The viewer's state that all docks share.
    jobs : Jobs
        Those of the panel.
    """

    def __init__(self, state: State, jobs: Jobs) -> None:
        self._state, self._jobs = state, jobs
        self._rest = jobs.timer(REST_MS, self._measure)
        self._opened: OpenCase | None = None
        self._current = Connections((state.events.current, self._follow))
        self._following = Connections()
        self._follow(state.current)

    def close(self) -> None:
        """Follow the cases no more."""
        self._current.close()
        self._follow(None)

    def _follow(self, opened: OpenCase | None) -> None:
        self._following.close()
        self._opened = opened
        if opened is not None:
            events = opened.events
            self._following = Connections(
                (events.revision, self._changed), (events.result, self._changed)
            )
            if opened.result is not None and opened.trust is None:
                self._rest.start()

    def _changed(self, value: object = None) -> None:
        """Take back what was said of other labels, and measure anew at rest."""
        assert self._opened is not None
        self._jobs.drop("doubt")
        self._opened.trust = None
        self._rest.start()

    def _measure(self) -> None:
        opened = self._opened
        result = None if opened is None else opened.result
        if opened is None or result is None:
            return
        if result.thresholded.pending:
            self._rest.start()
            return
        segmentation, volumes, revision = result.segmentation, result.volumes_ml, opened.revision

        def done(trust: TrustStatement | None) -> None:
            if opened.revision == revision:
                opened.trust = trust
                self._state.withdraw(MEASURING)

        self._jobs.run("doubt", lambda: state_trust(segmentation, volumes), done)
