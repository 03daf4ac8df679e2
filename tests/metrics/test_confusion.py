"""Confusion matrix, F1 and the picture."""

import numpy as np
from matplotlib import image

from bert_tf.metrics import confusion
from bert_tf.metrics.confusion import draw_confusion_matrix
from bert_tf.metrics.statistics import confusion_matrix, f1_scores


def test_rows_are_true_classes_and_columns_predicted_ones():
    matrix = confusion_matrix([0, 0, 1, 2], [0, 1, 1, 1], num_classes=3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [0, 1, 0]])


def test_f1_worked_out_by_hand():
    matrix = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    # Class 0: precision 1, recall 1/2. Class 1: precision 1/3, recall 1. 2: never. 3: absent.
    np.testing.assert_allclose(f1_scores(matrix), [2 / 3, 1 / 2, 0, 0])


def test_a_picture_is_drawn(tmp_path):
    path = tmp_path / "matrix.png"
    draw_confusion_matrix(np.eye(3, dtype=int), ["a", "b", "c"], path, title="three")
    assert image.imread(path).shape[2] == 4


def test_names_that_no_font_can_draw_are_numbered_with_a_warning(tmp_path, caplog):
    unassigned = "\U000e0fff"
    names, fonts = confusion._drawable(["plain", unassigned])
    assert names == ["class 0", "class 1"]
    assert fonts == [confusion.DEFAULT_FONT]
    assert "a font with the characters of plain" in caplog.text
    draw_confusion_matrix(np.eye(2, dtype=int), [unassigned, "b"], tmp_path / "m.png", title="two")
