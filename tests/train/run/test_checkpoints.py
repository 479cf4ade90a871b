import errno
import os
import tempfile
from pickle import UnpicklingError

import pytest
import torch

from napari_gliocam.train.run.checkpoints import DurableCheckpointIO, load_weights, readable

IO = DurableCheckpointIO()


def state(value):
    return {"state_dict": {"network.w": torch.full((100,), float(value))}}


def value_in(file):
    return float(IO.load_checkpoint(file)["state_dict"]["network.w"][0])


@pytest.fixture
def last(tmp_path):
    file = tmp_path / "stage" / "last.ckpt"
    IO.save_checkpoint(state(1), file)
    IO.save_checkpoint(state(2), file)
    return file


def test_nothing_goes_through_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr(tempfile, "_once_lock", None, raising=False)
    IO.save_checkpoint(state(1), tmp_path / "stage" / "last.ckpt")
    assert [file.name for file in (tmp_path / "stage").iterdir()] == ["last.ckpt"]


def test_the_last_one_is_read_and_the_one_before_where_it_is_cut(last):
    assert value_in(readable(last)) == 2
    for damaged in (last.read_bytes()[:300], b"", b"text"):
        last.write_bytes(damaged)
        assert value_in(readable(last)) == 1
    last.unlink()  # killed between the two renames
    assert value_in(readable(last)) == 1
    readable(last).write_bytes(b"")
    assert readable(last) is None


@pytest.mark.parametrize("step", ["save", "replace"])
def test_a_disk_that_fills_leaves_the_good_ones(last, monkeypatch, step):
    def full(*given, **named):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(*(torch, "save") if step == "save" else (os, "fsync"), full)
        with pytest.raises(OSError, match="No space"):
            IO.save_checkpoint(state(3), last)
    assert value_in(readable(last)) == 2
    assert not list(last.parent.glob(".*"))
    IO.save_checkpoint(state(3), last)
    assert value_in(readable(last)) == 3


class Code:
    def __reduce__(self):
        return os.mkdir, (Code.folder,)


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    Code.folder = str(tmp_path / "ran")
    torch.save({"state_dict": {}, "code": Code()}, tmp_path / "last.ckpt")
    assert readable(tmp_path / "last.ckpt") is None
    with pytest.raises(UnpicklingError):
        IO.load_checkpoint(tmp_path / "last.ckpt", weights_only=False)
    assert not (tmp_path / "ran").exists()


def test_damaged_weights_are_not_loaded(tmp_path):
    network = torch.nn.Linear(2, 2)
    assert not load_weights(network, tmp_path / "weights.safetensors")
    (tmp_path / "weights.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    assert not load_weights(network, tmp_path / "weights.safetensors")
