"""Where the published libraries read a paper differently, whose reading is followed."""

from __future__ import annotations

from typing import Literal

#: ``paper``: the formulas as printed.  The other two give the same values as those packages
#: (torch-cam 0.5, grad-cam 1.5), to compare with results made with them.
Convention = Literal["paper", "torch-cam", "pytorch-grad-cam"]
