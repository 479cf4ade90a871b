"""The picture of a report in the guide: the sample case, segmented, measured, drawn by Chromium.

python docs/make_report_picture.py          (needs a Chromium on the path; nothing else does)
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from napari_gliocam import make_phantom, segment
from napari_gliocam.report import read_segmentation, save_reading

IMAGES = Path(__file__).parent / "images"
WIDTH, HEIGHT = 960, 1480


def main() -> None:
    """Write ``docs/images/report.png``: the first screen of the page."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        sys.exit("There is no Chromium on the path; install one to draw the page.")
    case = make_phantom()
    with tempfile.TemporaryDirectory() as folder:
        page, *_ = save_reading(read_segmentation(case, segment(case)), Path(folder))
        drawn = Path(folder) / "page.png"
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={drawn}", page.as_uri()),
            ],
            check=True,
            capture_output=True,
        )
        Image.open(drawn).convert("RGB").save(IMAGES / "report.png", optimize=True)
    print(IMAGES / "report.png")


if __name__ == "__main__":
    main()
