"""Learning rates at points worked out by hand, and against Model Garden's schedules."""

import numpy as np
import pytest
import tensorflow as tf
from official.modeling.optimization import lr_schedule

from bert_tf.config import OptimizerConfig
from bert_tf.training.optimizers import learning_rate_at, make_schedule

NUM_STEPS, NUM_WARMUP_STEPS, PEAK = 100, 10, 0.5
SCHEDULES = [
    {"schedule": "linear"},
    {"schedule": "cosine"},
    {"schedule": "polynomial"},
    {"schedule": "polynomial", "schedule_power": 2.0},
    {"schedule": "constant", "constant_share": 0.4},
]


def rates(**settings) -> np.ndarray:
    config = OptimizerConfig(**{"learning_rate": 1.0, "warmup_share": 0.1, **settings})
    steps = tf.range(NUM_STEPS, dtype=tf.int64)
    return learning_rate_at(steps, config=config, num_steps=NUM_STEPS).numpy()


@pytest.mark.parametrize(
    ("settings", "points"),
    [
        ({}, {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 55: 0.5, 99: 1 / 90}),
        ({"end_learning_rate": 0.2}, {0: 0.1, 9: 1.0, 10: 1.0, 55: 0.6}),
        ({"schedule": "cosine"}, {9: 1.0, 10: 1.0, 40: 0.75, 55: 0.5, 70: 0.25}),
        ({"schedule": "polynomial"}, {10: 1.0, 55: 0.5**0.5, 99: (1 / 90) ** 0.5}),
        ({"schedule": "constant", "constant_share": 0.4}, {4: 0.5, 10: 1.0, 50: 1.0, 75: 0.5}),
        ({"schedule": "constant", "constant_share": 0.9}, {4: 0.5, 10: 1.0, 99: 1.0}),
        ({"warmup_share": 0.0}, {0: 1.0, 50: 0.5}),
        ({"schedule": "inverse_sqrt"}, {0: 0.1, 4: 0.5, 9: 1.0, 39: 0.5, 89: 1 / 3}),
    ],
)
def test_points_worked_out_by_hand(settings, points):
    seen = rates(**settings)
    for step, expected in points.items():
        assert seen[step] == pytest.approx(expected, rel=1e-5), step


@pytest.mark.parametrize("settings", SCHEDULES)
@pytest.mark.parametrize("end", [0.0, 0.25])
def test_nothing_jumps(settings, end):
    seen = rates(end_learning_rate=end, **settings)
    assert seen[NUM_WARMUP_STEPS - 1] == pytest.approx(1.0)
    assert seen[NUM_WARMUP_STEPS] == pytest.approx(1.0)
    steepest = 0.12  # the warm-up's steps are 0.1; a power of 0.5 ends with one of 0.105
    assert np.abs(np.diff(seen[:-1])).max() < steepest
    assert np.all(np.diff(seen[NUM_WARMUP_STEPS:]) <= 1e-7)
    assert end < seen[-1] < end + steepest


def after_warmup(settings, end):
    """Model Garden's schedule for the steps after the warm-up."""
    common = {"initial_learning_rate": PEAK, "offset": NUM_WARMUP_STEPS}
    num_steps = NUM_STEPS - NUM_WARMUP_STEPS
    if settings["schedule"] == "cosine":
        return lr_schedule.CosineDecayWithOffset(decay_steps=num_steps, alpha=end, **common)
    power = settings.get("schedule_power", 0.5) if settings["schedule"] == "polynomial" else 1.0
    return lr_schedule.PolynomialDecayWithOffset(
        decay_steps=num_steps, end_learning_rate=end * PEAK, power=power, **common
    )


@pytest.mark.parametrize("settings", SCHEDULES[:4])
@pytest.mark.parametrize("end", [0.0, 0.25])
def test_equals_model_gardens(settings, end):
    schedule = after_warmup(settings, end)
    warmup = lr_schedule.LinearWarmup(schedule, NUM_WARMUP_STEPS, warmup_learning_rate=0.0)
    seen = rates(learning_rate=PEAK, end_learning_rate=end, **settings)
    # Theirs begins with a step of rate 0: in the warm-up it is one step behind.
    theirs = [warmup(step + 1) for step in range(NUM_WARMUP_STEPS)]
    theirs += [warmup(step) for step in range(NUM_WARMUP_STEPS, NUM_STEPS)]
    np.testing.assert_allclose(seen, theirs, rtol=1e-5, atol=1e-7)


def test_inverse_square_root_is_equation_3_of_the_paper():
    """lrate = d_model^-0.5 * min(step_num^-0.5, step_num * warmup_steps^-1.5)."""
    width, num_warmup_steps, num_steps = 512, 4000, 100_000
    config = OptimizerConfig(
        learning_rate=(width * num_warmup_steps) ** -0.5,
        warmup_share=num_warmup_steps / num_steps,
        schedule="inverse_sqrt",
    )
    step = np.arange(1, num_steps + 1, dtype=np.float64)
    expected = width**-0.5 * np.minimum(step**-0.5, step * num_warmup_steps**-1.5)
    steps = tf.range(num_steps, dtype=tf.int64)
    seen = learning_rate_at(steps, config=config, num_steps=num_steps)
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
    longer = learning_rate_at(
        steps,
        config=config.model_copy(update={"warmup_share": num_warmup_steps / (2 * num_steps)}),
        num_steps=2 * num_steps,
    )
    np.testing.assert_allclose(longer, seen, rtol=1e-6)  # the number of steps does not matter


def test_a_phase_of_its_own_begins_anew():
    config = OptimizerConfig(learning_rate=1.0, warmup_share=0.1, schedule="inverse_sqrt")
    rates_of_both = make_schedule([(config, 100), (config, 40)])(tf.range(140)).numpy()
    np.testing.assert_allclose(rates_of_both[:100], rates(schedule="inverse_sqrt"), rtol=1e-6)
    np.testing.assert_allclose(rates_of_both[100:104], [0.25, 0.5, 0.75, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "inverse_sqrt", "warmup_share": 0.0}, r"warmup_share above 0.*share=0.0"),
        ({"schedule": "inverse_sqrt", "end_learning_rate": 0.1}, r"no end_learning_rate.*=0.1"),
        ({"schedule_power": 2.0}, r"schedule_power is for schedule=polynomial. Received: .*=2.0"),
        ({"schedule": "constant"}, r"need each other. Received: schedule=constant, .*=0.0"),
        ({"constant_share": 0.5}, r"need each other. Received: schedule=linear, .*=0.5"),
        (
            {"schedule": "constant", "constant_share": 0.8, "warmup_share": 0.3},
            r"warmup_share \+ constant_share must be at most 1. Received: 0.3 \+ 0.8",
        ),
        ({"layer_decay": 0.0}, "greater than 0"),
        ({"ema_decay": 1.0}, "less than 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        OptimizerConfig(**settings)
