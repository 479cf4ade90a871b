"""Pictures of the dock "Train" for the user guide: synthetic cases, a network of a few channels.

Run with a screen, or under a virtual one:
``xvfb-run -a -s "-screen 0 1920x1080x24" python docs/make_train_pictures.py [DIR] [WIDTH HEIGHT]``.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import napari
from make_pictures import until

from napari_gliocam.ui.jobs.engine import engine
from napari_gliocam.ui.train import session as train_session
from napari_gliocam.ui.train.dock import TrainDock


def write_cases(folder: Path) -> None:
    """Six small phantoms, drawn on the thread that owns torch."""
    from napari_gliocam.phantom import write_phantoms

    write_phantoms(folder, 6, 5, shape=(40, 160, 160), spacing=(4.0, 1.5, 1.5))


def write_bundle(folder: Path) -> None:
    """A bundle of tiny networks: what counts is the window."""
    import torch

    from napari_gliocam.nets.bundle import save_bundle
    from napari_gliocam.nets.bundle_info import BundleInfo
    from napari_gliocam.nets.gliocam import GliocamNet

    torch.manual_seed(0)
    save_bundle(GliocamNet(width=4), BundleInfo("tiny", "random", "CC0-1.0", width=4), folder)


def main(folder: Path, width: int = 1280, height: int = 900) -> None:
    """Tag, check, train; a picture of each."""
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp())
    engine().run(lambda: write_cases(place / "cases"))
    engine().run(lambda: write_bundle(place / "tiny"))
    train_session.bundles_folder = lambda: place / "bundles"
    usual = train_session.recipe_of_choice

    def quick(choice: train_session.TrainingChoice) -> train_session.Any:
        recipe = usual(choice)
        return replace(recipe, data=replace(recipe.data, rehearsal=0))

    train_session.recipe_of_choice = quick
    viewer = napari.Viewer()
    viewer.theme = "dark"
    dock = TrainDock.show_in(viewer)
    viewer.window.resize(width, height)
    session = dock.session

    def picture(name: str) -> None:
        until(lambda: False, 0.7)
        viewer.screenshot(str(folder / f"{name}.png"), canvas_only=False, flash=False)

    picture("train-empty")
    session.use(place / "tiny")
    dock.message_view.set_message(None)
    job = session.open_folder(place / "cases")
    until(lambda: job.ended)
    job = session.derive()
    until(lambda: job is None or job.ended)
    dock.message_view.set_message(None)
    job = session.open_by_name("phantom_5_0000")
    until(lambda: job is None or job.ended)
    session.tagging.step(8)
    dock.choice_view.form.fields["epochs"].value = 4
    dock.choice_view.check.button.click()
    until(dock.choice_view.start_button.isEnabled, 120)
    picture("train-ready")
    dock.choice_view.advanced_button.click()
    picture("train-advanced")
    dock.choice_view.advanced_button.click()
    dock.choice_view.start_button.click()
    until(lambda: "Class aggregate" in dock.progress_view.stage.text(), 240)
    dock.progress_view.chart.stage.setCurrentIndex(1)
    dock.progress_view.chart.stage.activated.emit(1)
    scroll = dock.bundle_view.parentWidget().parentWidget().parentWidget()
    scroll.ensureWidgetVisible(dock.progress_view)
    picture("train-running")
    until(lambda: not session.process.running, 240)
    viewer.theme = "light"
    scroll.ensureWidgetVisible(dock.bundle_view)
    picture("train-done-light")
    viewer.close()


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[2:4]]
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images", *sizes)
