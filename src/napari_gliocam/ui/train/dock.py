"""The dock "Train": puts the views together and connects them to a session."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_gliocam.nets.library import Listed
from napari_gliocam.train.labels.tags import Tags
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.ui.model.connections import Connections
from napari_gliocam.ui.train.bundle_list import BundleListView
from napari_gliocam.ui.train.choice_view import TrainChoiceView
from napari_gliocam.ui.train.progress_view import TrainProgressView
from napari_gliocam.ui.train.session import TrainSession
from napari_gliocam.ui.train.tag_view import TagView
from napari_gliocam.ui.train.tagging import KEYS, Here
from napari_gliocam.ui.viewer.keys import CanvasKeys
from napari_gliocam.ui.widgets.dock import Dock
from napari_gliocam.wording import counted

if TYPE_CHECKING:
    import napari

WIDTH = 380


class TrainDock(Dock):
    """Tag slices, train with these labels alone, use what came of it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    TITLE = "Train"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__("gliocam-train", WIDTH)
        self.tag_view = TagView()
        self.choice_view = TrainChoiceView()
        self.progress_view = TrainProgressView()
        self.bundle_view = BundleListView()
        self.lay_out(self.tag_view, self.choice_view, self.progress_view, self.bundle_view)
        self.session = TrainSession(viewer, self)
        self._connect()
        self._keys = CanvasKeys(
            self.session.viewer,
            {name: (key, partial(self._on_key, name)) for name, key in KEYS.items()},
        )
        self.begin(self.session)
        self._show_devices()
        self._show_theme()
        if find_spec("lightning") is None:
            self.session.say(
                "Training needs Lightning, which is not installed; run: "
                'pip install "napari-gliocam[train]". Tagging works without.',
                "warning",
            )

    def undocked(self) -> None:
        """Look away from the viewer; a training works on."""
        self._keys.close()
        self._connections.close()
        super().undocked()

    def _connect(self) -> None:
        session, tags, choice = self.session, self.tag_view, self.choice_view
        tags.folder_requested.connect(self._ask_folder)
        tags.labels_requested.connect(self._ask_labels)
        tags.derive_requested.connect(lambda: session.derive(choice.choices()))
        tags.case_requested.connect(session.open_by_name)
        tags.answered.connect(session.tagging.answer)
        tags.rest_requested.connect(session.tagging.rest_shows_nothing)
        tags.advance_requested.connect(partial(setattr, session.tagging, "advance"))
        session.tagging.changed.connect(self._show_tags)
        session.tagging.here_changed.connect(self._show_here)
        session.derived.connect(self._ask_overwrite)
        choice.check_requested.connect(lambda: session.summarise(choice.choices()))
        choice.cancel_requested.connect(partial(session.jobs.cancel, "work"))
        choice.start_requested.connect(lambda: session.train(choice.choices()))
        choice.resume_requested.connect(session.resume)
        choice.device_requested.connect(partial(setattr, session.state, "device"))
        choice.masks_requested.connect(self._ask_masks)
        choice.mask_requested.connect(lambda: session.show_mask(choice.choices()))
        session.working.connect(choice.set_checking)
        session.summarised.connect(choice.set_summary)
        session.running.connect(choice.set_running)
        session.resumable.connect(choice.set_resumable)
        events = session.state.events
        self._connections = Connections(
            (events.devices, self._show_devices),
            (events.device, self._on_device_changed),
            (session.viewer.events.theme, self._show_theme),
        )
        progress = self.progress_view
        progress.stop_requested.connect(session.stop)
        progress.follow_requested.connect(partial(setattr, session, "preview"))
        progress.use_requested.connect(self._use_newest)
        session.running.connect(progress.set_running)
        session.event_received.connect(progress.show_event)
        session.pictures_made.connect(progress.pictures.show_folder)
        session.resume_asked.connect(self._ask_resume)
        bundles = self.bundle_view
        bundles.use_requested.connect(session.use)
        bundles.rename_requested.connect(session.rename)
        bundles.remove_requested.connect(session.remove)
        session.bundles_changed.connect(self._show_bundles)

    # ---- what is asked for

    def _on_key(self, answer: str, provider: object) -> None:
        self.session.tagging.answer(answer)

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of cases")
        if folder:
            self.session.open_folder(folder)

    def _ask_labels(self) -> None:
        folder = str(self.session.tagging.folder or "")
        path, _ = QFileDialog.getOpenFileName(self, "Labels of slices", folder, "Table (*.csv *)")
        if path:
            self.session.load_labels(path)

    def _ask_masks(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of masks")
        if folder:
            self.choice_view.set_masks(Path(folder))

    def _ask_overwrite(self, tags: Tags, different: int) -> None:
        """Ask which labels count where those from masks differ from those that are there."""
        known = len(self.session.tagging.tags)
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Labels from masks")
        box.setText(
            f"{counted(known, 'slice')} {'has' if known == 1 else 'have'} a label already; "
            f"the masks disagree with {different} of them, skipped slices included."
        )
        keep = box.addButton("Keep mine, fill in the rest", QMessageBox.ButtonRole.AcceptRole)
        replace = box.addButton("Replace all", QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(keep)
        box.exec()
        if box.clickedButton() in (keep, replace):
            self.session.take_derived(tags, overwrite=box.clickedButton() is replace)

    def _ask_resume(self, request: TrainingRequest) -> None:
        """Ask before a training goes on that this window did not start."""
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle("Resume a training")
        box.setText(
            f"{request.out_dir} holds a training that this window did not start. Go on with it?"
        )
        box.setInformativeText("\n".join(("It uses:", *request.outside)) if request.outside else "")
        resume = box.addButton("Resume", QMessageBox.ButtonRole.AcceptRole)
        cancel = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(cancel)
        box.exec()
        if box.clickedButton() is resume:
            self.session.resume_anyway(request)

    def _use_newest(self) -> None:
        request = self.session.process.request
        if request is not None:
            self.session.use(Path(request.out))

    # ---- what is shown

    def _show_tags(self) -> None:
        tagging = self.session.tagging
        self.tag_view.set_place(tagging.folder, tagging.file)
        self.tag_view.set_cases(tagging.rows())
        self.choice_view.forget_check()

    def _show_here(self, here: Here | None) -> None:
        self.tag_view.set_here(here, can_undo=self.session.tagging.can_undo)

    def _show_devices(self, devices: object = None) -> None:
        state = self.session.state
        names, titles = zip(*state.devices, strict=True)
        self.choice_view.set_devices(list(names), list(titles), state.device)

    def _on_device_changed(self, device: str) -> None:
        self._show_devices()
        self.choice_view.forget_check()

    def _show_theme(self, event: object = None) -> None:
        from napari.utils.theme import get_theme

        theme = get_theme(self.session.viewer.theme)
        self.progress_view.chart.set_colours(theme.text.as_hex(), theme.background.as_hex())

    def _show_bundles(self, bundles: list[Listed]) -> None:
        bundle = self.session.state.bundle
        self.bundle_view.set_bundles(bundles, None if bundle is None else bundle.path)
