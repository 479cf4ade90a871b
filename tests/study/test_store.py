"""Keys of rows, and bundles of a cross-validation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_gliocam.errors import GliocamError
from napari_gliocam.io.folds import write_folds
from napari_gliocam.study.store import set_up
from napari_gliocam.study.toml_file import read_study


def test_a_bundle_in_folds_is_for_each_case_the_one_that_left_it_out(
    study_file, tiny_bundle, tmp_path
):
    folds = tmp_path / "folds"
    for number in (1, 2):
        shutil.copytree(tiny_bundle, folds / f"fold-{number}")
    write_folds(folds / "folds.csv", {"a": 2, "b": 1})
    study = read_study(study_file)
    setup = set_up(study, tmp_path / "out", bundles={"default": folds})
    assert setup.bundle_of("default", "a") == folds / "fold-2"
    assert setup.bundle_of("default", "b") == folds / "fold-1"
    with pytest.raises(GliocamError, match='"c" is in no fold of the bundle "default"'):
        setup.bundle_of("default", "c")
    shutil.rmtree(folds / "fold-2")
    with pytest.raises(GliocamError, match="cannot run"):
        set_up(study, tmp_path / "out", bundles={"default": folds})


def test_a_bundle_of_several_seeds_is_a_row_for_each_and_their_mean(
    cohort, study_file, tiny_bundle, tmp_path
):
    from napari_gliocam.study.figures import StudyResult
    from napari_gliocam.study.tables import table_of
    from tests.study.test_scores import _scores

    for number in (1, 2):
        shutil.copytree(tiny_bundle, tmp_path / "seeds" / f"seed-{number}")
    shutil.copytree(tiny_bundle, tmp_path / "seeds" / "seed-2" / "fold-1")
    write_folds(tmp_path / "seeds" / "seed-2" / "folds.csv", {"a": 1})
    study = read_study(study_file)
    setup = set_up(study, tmp_path / "out", bundles={"default": tmp_path / "seeds"})
    titles = [row.title for row in setup.study.rows]
    assert titles[:3] == ["GradCAM, seed-1", "GradCAM, seed-2", "LayerCAM, refined, seed-1"]
    assert titles[-3:] == ["both, seed-1", "both, seed-2", "nothing"]
    assert {member.bundle for member in setup.study.rows[-2].members} == {"default/seed-2"}
    assert setup.bundle_of("default/seed-1", "a") == tmp_path / "seeds" / "seed-1"
    assert setup.bundle_of("default/seed-2", "a") == tmp_path / "seeds" / "seed-2" / "fold-1"
    assert len(set(setup.keys)) == 4 * 2 + 1

    found = [_scores(n) for n in range(len(titles))]
    result = StudyResult(setup.study, {"a": found, "b": found})
    assert result.compared_with(3) == 1  # LayerCAM of seed 2 with GradCAM of seed 2
    assert result.compared_with(0) is None
    names = [line.name for line in table_of(result)]
    assert names[:3] == ["GradCAM, seed-1", "GradCAM, seed-2", "GradCAM, mean ± sd of seeds"]
    assert len(names) == 4 * 3 + 1
    paper = [line.cells[0].paper for line in table_of(result)]
    assert paper[:3] == ["", "", "0.600 ± 0.400"]


def test_seeds_that_do_not_go_together_are_named(study_file, tiny_bundle, tmp_path):
    for bundle, seeds in (("one", (1, 2)), ("other", (1, 3))):
        for number in seeds:
            shutil.copytree(tiny_bundle, tmp_path / bundle / f"seed-{number}")
    path = tmp_path / "study.toml"
    path.write_text(
        '[bundles.other]\n[[row]]\nname = "both"\nrule = "or"\n'
        '[[row.members]]\nmethod = "gradcam"\n[[row.members]]\nmethod = "gradcam"\n'
        'bundle = "other"\n[[row]]\nname = "fifth"\nseed = "seed-5"\n'
    )
    given = {"default": tmp_path / "one", "other": tmp_path / "other"}
    with pytest.raises(GliocamError) as caught:
        set_up(read_study(path), tmp_path / "out", bundles=given)
    assert 'row "both": its bundles have the seeds' in str(caught.value)
    assert 'row "fifth, seed-5": its bundles have the seeds seed-1, seed-2' in str(caught.value)


def test_keys_change_with_what_changes_scores_and_with_nothing_else(
    study_file, tiny_bundle, tmp_path
):
    def keys(text):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return set_up(read_study(path), Path("out"), bundles={"default": tiny_bundle}).keys

    text = study_file.read_text()
    before = keys(text)
    assert len({*before}) == len(before)
    assert keys(text.replace('name = "nothing"', 'name = "empty"')) == before
    assert keys(text.replace("[0.6, 0.4]", "[0.5, 0.4]")) == before
    changed = keys(text.replace("threshold = 0.3", "threshold = 0.2"))
    assert [a == b for a, b in zip(before, changed, strict=True)] == [True, True, True, False, True]
    fewer = keys(text.replace("[table]", "[evaluation]\nmin_pixels = 5\n[table]"))
    assert not {*fewer} & {*before}


def test_a_bundle_that_does_not_fit_the_study_is_refused(tiny_bundle, tmp_path):
    from napari_gliocam.nets.bundle import save_bundle
    from napari_gliocam.nets.bundle_info import BundleInfo
    from napari_gliocam.nets.gliocam import GliocamNet
    from napari_gliocam.targets import TUMOUR_ALONE

    path = tmp_path / "study.toml"
    path.write_text(
        '[bundles.t1]\nrecipe = "ame-cam"\nmodalities = ["t1"]\n'
        '[[row]]\nname = "on T1"\nbundle = "t1"\n[[row]]\nname = "as it ships"\n'
    )
    study = read_study(path)
    with pytest.raises(GliocamError, match=r'"t1" \(recipe ame-cam, --modality t1\) and give it'):
        set_up(study, tmp_path / "out", bundles={"default": tiny_bundle})
    info = BundleInfo("alone", "random", "CC0-1.0", width=4, targets=TUMOUR_ALONE)
    save_bundle(GliocamNet.of(3, info.design), info, tmp_path / "alone")
    with pytest.raises(GliocamError) as caught:
        set_up(
            study,
            tmp_path / "out",
            bundles={"default": tmp_path / "alone", "t1": tiny_bundle},
        )
    assert "looks at T1ce and T2 and FLAIR, and the study needs one for T1" in str(caught.value)
    assert "knows the tumour alone, and the study scores core and edema" in str(caught.value)
