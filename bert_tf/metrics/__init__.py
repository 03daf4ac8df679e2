"""Metrics of any fine-tuning task, with their uncertainty, and pictures of them.

    outcomes.py      targets, predictions and scores of a model: what every metric reads
    metric.py        a metric: its name, its direction, how it is computed
    resampling.py    bootstrap intervals of one model, and of two on the same examples
    spans.py         labelled spans of texts as outcomes
    classification.py, multi_label.py, regression.py, entities.py, answers.py
                     the metrics of each kind of target
    answer_texts.py, answer_thresholds.py, answer_slices.py
                     of answers: as they are compared, when none is given, by length and question
    pictures.py, tables.py
                     what people look at

NumPy, SciPy, scikit-learn and Matplotlib: a metric is computed without TensorFlow.
"""
