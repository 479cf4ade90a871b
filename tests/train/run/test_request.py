import json
import shutil
from pathlib import Path

import pytest

from napari_gliocam.errors import TrainingError
from napari_gliocam.train.run.request import TrainingRequest, load_request


@pytest.fixture
def there(tmp_path):
    """A folder with cases, labels and a place for bundles."""
    root = tmp_path / "there"
    for name in ("cases", "bundles/start"):
        (root / name).mkdir(parents=True)
    (root / "labels.csv").write_text("")
    return root


@pytest.fixture
def request_(there):
    return TrainingRequest(
        cases=str(there / "cases"),
        labels=str(there / "labels.csv"),
        bundle=str(there / "bundles" / "start"),
        out=str(there / "bundles" / "mine"),
        workers=2,
    )


def test_a_request_survives_its_file(request_, tmp_path):
    assert load_request(request_.save()) == request_


def test_relative_paths_hold_in_any_working_folder(there, request_, tmp_path, monkeypatch):
    monkeypatch.chdir(there)
    relative = TrainingRequest(
        cases="cases", labels="labels.csv", bundle="bundles/start", out="bundles/mine", workers=2
    )
    file = relative.save().absolute()
    monkeypatch.chdir(tmp_path)
    assert load_request(file) == request_


def test_folders_that_moved_together_are_found_again(there, request_, tmp_path):
    request_.save()
    there.rename(tmp_path / "elsewhere")
    moved = load_request(tmp_path / "elsewhere" / "bundles" / "mine" / "training" / "request.json")
    for name in ("cases", "labels", "bundle"):
        assert Path(getattr(moved, name)).exists(), name
    assert moved.out_dir == tmp_path / "elsewhere" / "bundles" / "mine"


def test_a_training_writes_where_its_request_lies(there, request_, tmp_path):
    file = request_.save()
    values = json.loads(file.read_text())
    values |= {"out": str(tmp_path / "home"), "work": str(tmp_path / "home" / "work")}
    file.write_text(json.dumps(values))
    loaded = load_request(file)
    assert loaded.out_dir == there / "bundles" / "mine"
    assert loaded.work_dir == file.parent
    assert set(loaded.outside) == {
        str(there / "cases"),
        str(there / "labels.csv"),
        str(there / "bundles" / "start"),
    }
    own = TrainingRequest(cases=str(loaded.out_dir / "cases"), out=loaded.out)
    assert own.outside == ()


def test_a_work_folder_of_its_own_stays_one(there, request_, tmp_path):
    from dataclasses import replace

    request = replace(request_, work=str(tmp_path / "scratch"))
    assert load_request(request.save()) == request
    shutil.copytree(tmp_path / "scratch", tmp_path / "copy")
    assert load_request(tmp_path / "copy" / "request.json").work_dir == tmp_path / "copy"


@pytest.mark.parametrize(
    "text",
    [
        '{"cases": 3',
        "[]",
        "3",
        '{"cases": 3, "out": "a"}',
        '{"cases": "a", "out": "b", "workers": "2"}',
        '{"cases": "a", "out": "b", "case_names": 1}',
        '{"cases": "a", "out": "b", "relative": 3}',
        '{"cases": "a", "out": "b", "stranger": 1}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_a_damaged_request_is_a_sentence(tmp_path, text):
    file = tmp_path / "request.json"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(TrainingError, match="start it anew"):
        load_request(file)
