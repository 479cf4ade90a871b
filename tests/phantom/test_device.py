"""A scene is drawn where its grid lies: no voxels travel to the CPU and back."""

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from napari_gliocam.phantom.acquisition import Faults
from napari_gliocam.phantom.anatomy import procedural_anatomy
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.lookalikes import Lookalikes
from napari_gliocam.phantom.scene import SceneSettings, draw_lesions, render_scene
from napari_gliocam.train.data.synthetic import synthetic_slices

#: Everything that can occur does.
ALL = SceneSettings(
    kinds={"both": 1.0},
    atrophy=1.0,
    faults=Faults(**dict.fromkeys(Faults.__dataclass_fields__, 1.0)),
    lookalikes=Lookalikes(1.0, 1.0),
)


@pytest.fixture(scope="module")
def anatomy():
    return procedural_anatomy(0, spacing=5.0)


def draw(anatomy, seed, device="cpu"):
    grid = SliceGrid(np.linspace(-40, 50, 5), (48, 40), (4.0, 4.0), torch.device(device))
    fields = Fields(grid, np.random.default_rng(seed))
    return render_scene(fields, anatomy, draw_lesions(fields, anatomy, ALL), ALL)


class NoVoxelsLeave(TorchFunctionMode):
    """Fails where more than a few numbers are handed to NumPy or Python."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func.__name__ in {"numpy", "cpu", "tolist", "__array__", "item"}:
            assert args[0].numel() < 200, f"{args[0].shape} leaves the device by {func.__name__}"
        return func(*args, **(kwargs or {}))


def test_the_guard_sees_what_leaves():
    with NoVoxelsLeave(), pytest.raises(AssertionError, match="leaves the device"):
        torch.zeros(1000).numpy()


@pytest.mark.parametrize("seed", range(3))
def test_no_voxels_leave_the_device_while_a_scene_is_drawn(anatomy, seed):
    with NoVoxelsLeave():
        draw(anatomy, seed)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_draws_the_same_as_the_cpu(anatomy):
    on_gpu = anatomy.to(torch.device("cuda"))
    for seed in range(4):
        a, b = draw(anatomy, seed), draw(on_gpu, seed, "cuda")
        assert b.image.is_cuda
        assert [x.centre for x in a.lesions] == [x.centre for x in b.lesions]
        # Borders may fall to the other side of a threshold by rounding.
        close = torch.isclose(a.image, b.image.cpu(), atol=1e-3)
        assert float(close.float().mean()) > 0.995
        assert float((a.labels == b.labels.cpu()).float().mean()) > 0.999
    cpu = synthetic_slices(anatomy, [1, 2])
    gpu = synthetic_slices(on_gpu, [1, 2], device=torch.device("cuda"))
    assert cpu[0].shape == gpu[0].shape
    assert float(np.isclose(cpu[0], gpu[0], atol=0.02).mean()) > 0.995
    assert (cpu[1] == gpu[1]).all()
