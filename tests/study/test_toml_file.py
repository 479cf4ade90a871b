"""Studies that ship can be read; every mistake of a file is named at once."""

from __future__ import annotations

import pytest

from napari_gliocam.cams.methods.registry import METHODS
from napari_gliocam.errors import GliocamError
from napari_gliocam.study.toml_file import METRICS, read_study, shipped_studies
from napari_gliocam.train.recipe.maps import read_recipe
from napari_gliocam.train.recipe.segmenter import SEGMENTER_RECIPES, read_segmenter_recipe


@pytest.mark.parametrize("name", shipped_studies())
def test_a_study_that_ships_can_be_read_and_says_what_differs(name):
    study = read_study(name)
    assert study.name == name
    assert study.title
    assert study.differs
    assert any(row.published for row in study.rows)
    for row in study.rows:
        for figures in row.published.values():
            for metric, (mean, *_) in figures.items():
                assert 0 <= mean <= (400 if metric == "hd95_mm" else 1)
            assert {*figures} <= {*study.table.metrics}


@pytest.mark.parametrize("name", shipped_studies())
def test_a_bundle_that_must_be_trained_has_a_recipe(name):
    for bundle in read_study(name).bundles.values():
        if not bundle.path:
            segmenter = bundle.recipe in SEGMENTER_RECIPES
            (read_segmenter_recipe if segmenter else read_recipe)(bundle.recipe)


def test_every_method_of_explain_is_a_row_of_table_1():
    rows = {choice.method for row in read_study("paper1-table1").rows for choice in row.choices}
    assert {*METHODS} <= rows


def test_mistakes_are_listed_together_with_the_nearest_name(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        'targets = ["core", "oedema"]\n'
        'tests = "Gradcam"\n'
        '[[row]]\nname = "GradCAM"\nmethod = "gradcan"\nbundle = "defualt"\n'
        '[[row]]\nname = "GradCAM"\nmethod = "layercam"\nthreshold = 2\nrefine = "crv"\n'
    )
    with pytest.raises(GliocamError) as caught:
        read_study(path)
    sentence = str(caught.value)
    for words in (
        'no class "oedema" (did you mean "edema"?)',
        'no method "gradcan" (did you mean "gradcam"?)',
        'no bundle "defualt" (did you mean "default"?)',
        'no refinement "crv" (did you mean "crf"?)',
        'no row "Gradcam" (did you mean "GradCAM"?)',
        'two rows are called "GradCAM"',
        "threshold is 2, not in 0 to 1",
    ):
        assert words in sentence


def test_unknown_keys_and_wrong_types_are_listed_together(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('tittle = "x"\n[[row]]\nname = 3\nmetod = "gradcam"\ngate = "yes"\n')
    with pytest.raises(GliocamError) as caught:
        read_study(path)
    for words in (
        '"tittle" is no key (did you mean "title"?)',
        '"metod" is no key (did you mean "method"?)',
        "gate is 'yes', not true or false",
        "name is 3, not a text",
    ):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("over", "scoring"),
    [("slices", "volume"), ("pooled", "all-slices"), ("patients", "foreground")],
)
def test_a_table_that_cannot_be_is_refused(tmp_path, over, scoring):
    path = tmp_path / "study.toml"
    metrics = list(METRICS.get(scoring, ["dice"]))
    path.write_text(
        f'[table]\nover = "{over}"\nscoring = "{scoring}"\nmetrics = {metrics}\n'
        '[[row]]\nname = "a"\n'
    )
    with pytest.raises(GliocamError, match="takes the scoring"):
        read_study(path)


def test_a_study_that_is_not_there_is_named_with_the_nearest(tmp_path):
    with pytest.raises(GliocamError, match='did you mean "paper1-table1"'):
        read_study("paper1-tabel1")
    (tmp_path / "broken.toml").write_text("[[row")
    with pytest.raises(GliocamError, match="not valid TOML"):
        read_study(tmp_path / "broken.toml")
