"""Pictures: what is in them, how long they take, and that they cost no result."""

import time

import numpy as np
import pytest
from matplotlib import image
from scipy.sparse import coo_array

from bert_tf.metrics import pictures
from bert_tf.metrics.data_pictures import draw_target_bars
from bert_tf.metrics.pictures import (
    draw_confusion_matrix,
    draw_label_bars,
    draw_scatter,
)
from bert_tf.system.pictures import try_to_draw


def size_of(path) -> tuple[int, int]:
    height, width, channels = image.imread(path).shape
    assert channels == 4
    return width, height


def make_rows(num_rows: int) -> list[dict]:
    return [
        {"name": f"label {index}", "f1": index / num_rows, "support": index}
        for index in range(num_rows)
    ]


def test_a_confusion_matrix_is_drawn_and_nothing_left_beside_it(tmp_path):
    path = tmp_path / "matrix.png"
    draw_confusion_matrix(np.eye(3, dtype=int), ["a", "b", "c"], path, title="three")
    assert size_of(path) == (672, 552)
    assert list(tmp_path.iterdir()) == [path]


def test_the_most_confused_classes_are_shown_and_all_others_pooled():
    generator = np.random.default_rng(0)
    matrix = np.diag(generator.integers(50, 100, 100))
    confused = np.array([3, 40, 77])
    matrix[np.ix_(confused, confused)] += 30
    shown = pictures._most_confused(matrix)
    pooled = pictures._pooled(matrix, shown)
    assert set(confused) <= set(shown.tolist())
    assert shown.tolist() == sorted(shown)
    assert pooled.shape == (pictures.MAX_CLASSES, pictures.MAX_CLASSES)
    np.testing.assert_array_equal(pooled[:-1, :-1], matrix[np.ix_(shown, shown)])
    others = np.setdiff1d(np.arange(100), shown)
    np.testing.assert_array_equal(pooled[-1, :-1], matrix[np.ix_(others, shown)].sum(axis=0))
    np.testing.assert_array_equal(pooled[:-1, -1], matrix[np.ix_(shown, others)].sum(axis=1))
    assert pooled.sum() == matrix.sum()


def test_a_thousand_classes_are_drawn_in_seconds(tmp_path):
    matrix = np.random.default_rng(0).integers(0, 3, (1000, 1000))
    names = [f"intent {index}" for index in range(1000)]
    started_at = time.perf_counter()
    draw_confusion_matrix(matrix, names, tmp_path / "many.png", title="a thousand")
    assert time.perf_counter() - started_at < 15  # alone on a machine less than two
    draw_confusion_matrix(matrix[:30, :30], names[:30], tmp_path / "few.png", title="thirty")
    sizes = zip(size_of(tmp_path / "many.png"), size_of(tmp_path / "few.png"), strict=True)
    assert all(many < few + 100 for many, few in sizes)


@pytest.mark.parametrize(
    "names", [["$\\frac$", "$x$"], ["x" * 500, "y"], ["가" * 500, "나"], ["", "\n"]]
)
def test_names_of_any_kind_are_drawn(tmp_path, names):
    rows = [{"name": name, "f1": 0.5, "support": 3} for name in names]
    draw_confusion_matrix(np.eye(2, dtype=int), names, tmp_path / "m.png", title="two")
    draw_label_bars(rows, tmp_path / "bars.png", title="two")


def test_bars_are_of_the_most_frequent_labels(tmp_path):
    for num_rows in (0, 1, pictures.MAX_LABELS, 500):
        draw_label_bars(make_rows(num_rows), tmp_path / f"{num_rows}.png", title="labels")
    assert size_of(tmp_path / "500.png") == size_of(tmp_path / f"{pictures.MAX_LABELS}.png")
    np.testing.assert_array_equal(
        *(draw_shown(tmp_path, make_rows(50)[first:]) for first in (0, 5))
    )


def draw_shown(tmp_path, rows) -> np.ndarray:
    """The picture below its title, which says how many are left out."""
    draw_label_bars(rows, tmp_path / "bars.png", title="labels")
    return image.imread(tmp_path / "bars.png")[80:]


@pytest.mark.parametrize("num_points", [0, 1, 100, 200_000])
def test_any_number_of_points_is_drawn(tmp_path, num_points):
    generator = np.random.default_rng(0)
    targets = generator.normal(size=num_points)
    predictions = targets + generator.normal(size=num_points)
    predictions[:1] = np.nan
    draw_scatter(targets, predictions, tmp_path / "points.png", title="points")
    assert size_of(tmp_path / "points.png") == (720, 660)


@pytest.mark.parametrize("num_points", [3, 5000])
def test_points_in_one_place_are_drawn(tmp_path, num_points):
    zeros = np.zeros(num_points)
    draw_scatter(zeros, zeros, tmp_path / "points.png", title="zeros")
    assert (tmp_path / "points.png").exists()


def test_a_picture_that_fails_is_a_warning_and_no_error(tmp_path, caplog):
    path = tmp_path / "missing" / "bars.png"
    assert not try_to_draw(draw_label_bars, make_rows(3), path, title="labels")
    assert "draw_label_bars must draw a picture" in caplog.text
    assert "Received: FileNotFoundError" in caplog.text


def test_a_picture_that_succeeds_is_there(tmp_path, caplog):
    assert try_to_draw(draw_label_bars, make_rows(3), tmp_path / "bars.png", title="labels")
    assert (tmp_path / "bars.png").exists()
    assert not caplog.records


def test_a_picture_that_is_too_large_is_not_begun(tmp_path, caplog):
    names = [f"target {index}" for index in range(300)]
    counts = {"train": [1] * 300}
    path = tmp_path / "targets.png"
    options = {"numbered": names, "title": "targets"}
    assert not try_to_draw(draw_target_bars, names, counts, path, **options)
    assert "at most 60 inches wide and high. Received: 6 x 86" in caplog.text
    assert not path.exists()


def test_a_sparse_confusion_matrix_is_drawn_as_a_dense_one(tmp_path):
    draw = np.random.default_rng(0)
    for num_classes in (5, 50):
        dense = draw.integers(0, 2, (num_classes, num_classes))
        names = [f"class {index}" for index in range(num_classes)]
        for name, matrix in (("dense", dense), ("sparse", coo_array(dense))):
            draw_confusion_matrix(matrix, names, tmp_path / f"{name}.png", title="matrix")
        assert (tmp_path / "dense.png").read_bytes() == (tmp_path / "sparse.png").read_bytes()
