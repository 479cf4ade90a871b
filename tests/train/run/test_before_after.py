"""The picture of a case before and after a training."""

from io import BytesIO

import numpy as np
from PIL import Image

from napari_gliocam.colours import CLASS_COLOURS, rgb
from napari_gliocam.phantom import make_phantom
from napari_gliocam.targets import BOTH, CORE, EDEMA
from napari_gliocam.train.run.before_after import draw_before_after


def test_every_label_is_drawn_beside_the_bare_scan():
    case = make_phantom(shape=(6, 48, 40), spacing=(20.0, 4.0, 4.0))
    old = np.zeros(case.grid.shape, dtype=np.uint8)
    new = old.copy()
    new[3, 14:22, 10:30], new[3, 22:30, 10:30], new[3, 30:38, 10:30] = CORE, EDEMA, BOTH
    picture = np.asarray(Image.open(BytesIO(draw_before_after(case, old, new)))).astype(int)
    scan, before, after = np.split(picture, 3, axis=1)
    np.testing.assert_array_equal(scan, before)
    for value in (CORE, EDEMA, BOTH):
        near = np.abs(after - rgb(CLASS_COLOURS[value])).max(axis=2) < 30
        assert near.any(), value
    assert not (np.ptp(scan, axis=2) > 0).any(), "the scan is grey"
