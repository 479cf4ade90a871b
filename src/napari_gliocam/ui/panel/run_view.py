"""Device, bundle, the button Segment, progress and Cancel.  Viewer-agnostic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QPushButton

from napari_gliocam.progress import Progress
from napari_gliocam.ui.widgets.pieces import (
    Choice,
    Elided,
    Section,
    in_column,
    labelled,
    plain_label,
)
from napari_gliocam.ui.widgets.run_button import RunButton

NOTICE = "Research use, not a medical device"


class RunView(Section):
    """Show device, bundle and progress; emit what the user asks for."""

    device_requested = Signal(str)
    #: The folder of a bundle that ships, or nothing for one that is to be asked for.
    bundle_requested = Signal(str)
    #: Place among the entries of `set_networks`.
    networks_requested = Signal(int)
    segment_requested = Signal()
    cancel_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Segment")
        self.devices = Choice("The processor that runs the networks.")
        self.devices.activated.connect(self._on_device)
        self._device_names: list[str] = []
        self.bundle = Elided()
        self.bundle_button = QPushButton("Change…")
        self.bundle_button.setToolTip("Choose other weights")
        self.bundle_menu = QMenu(self)
        self.bundle_button.setMenu(self.bundle_menu)
        self.origin = Elided()
        self.networks = Choice(
            "What segments: the maps of networks that know slice labels alone, the segmentation "
            "network that the maps taught, or both mixed with the weights that the bundle gives "
            "(the maps alone where a sequence is missing)"
        )
        self.networks.activated.connect(self.networks_requested)
        self.networks_row = labelled("Result of", self.networks)
        self.notice = Elided()
        self.notice.set_text(NOTICE)
        self.worse = plain_label(wrap=True)
        self.worse.hide()
        self.run = RunButton("Segment", "Find the tumour in the case chosen above")
        self.segment_button = self.run.button
        self.segment_button.setMinimumHeight(32)
        font = self.segment_button.font()
        font.setBold(True)
        self.segment_button.setFont(font)
        self.run.requested.connect(self.segment_requested)
        self.run.cancel_requested.connect(self.cancel_requested)
        self.stack, self.bar, self.stage = self.run, self.run.bar, self.run.stage
        self.cancel_button = self.run.cancel_button
        tip = "Weights with all that is needed to use them"
        self.add(
            in_column(
                labelled("Device", self.devices),
                labelled("Bundle", self.bundle, self.bundle_button, tip=tip),
                self.origin,
                self.networks_row,
                self.notice,
            ),
            self.worse,
            self.run,
        )
        self.set_networks(())

    def set_devices(self, names: Sequence[str], titles: Sequence[str], current: str) -> None:
        """Offer what this computer has."""
        self._device_names = list(names)
        index = self._device_names.index(current) if current in names else 0
        self.devices.fill(list(titles), index)

    def set_bundles(self, shipped: Mapping[str, Path]) -> None:
        """Offer the bundles that ship, by name, and any folder.

        Parameters
        ----------
        shipped : mapping of str to Path
            The folder of each bundle by the bundle's name.
        """
        self.bundle_menu.clear()
        for name, folder in {**shipped, "Other folder…": ""}.items():
            action = self.bundle_menu.addAction(name)
            assert action is not None
            action.triggered.connect(lambda _=False, f=str(folder): self.bundle_requested.emit(f))

    def set_bundle(self, name: str, origin: str, licence: str) -> None:
        """Say which weights are in use and where they come from."""
        self.bundle.set_text(name, f"Licence: {licence}" if licence else "")
        self.origin.set_text(origin)

    def set_networks(self, titles: Sequence[str], current: int = 0) -> None:
        """Offer the networks that can segment; none where the bundle has one kind alone."""
        self.networks.fill(list(titles), current)
        self.networks_row.setVisible(bool(titles))

    def set_ready(self, ready: bool, obstacle: str = "") -> None:
        """Show whether there is something to segment.

        Parameters
        ----------
        ready : bool
            True where a case is open.
        obstacle : str
            Why it cannot be segmented yet, in a sentence; empty where it can.
        """
        self.run.set_ready(ready and not obstacle, obstacle)

    def set_worse(self, sentence: str) -> None:
        """Say how much worse the result is for what a case lacks; empty where it lacks nothing."""
        self.worse.setText(sentence)
        self.worse.setVisible(bool(sentence))

    def set_progress(self, progress: Progress | None) -> None:
        """Show the bar and Cancel instead of the button; None while nothing runs."""
        self.run.set_progress(progress)
        for widget in (self.devices, self.bundle_button, self.networks):
            widget.setEnabled(progress is None)

    def _on_device(self, index: int) -> None:
        self.device_requested.emit(self._device_names[index])
