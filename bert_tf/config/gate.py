"""The section `gate`: what a new model must reach before it is served."""

import pydantic

from bert_tf.config.section import Section, Share


class GateConfig(Section):
    """`bert-tf registry gate`: a challenger beside the champion, on the same fresh texts."""

    metric: str | None = None
    """One of the task's. Default: the task's first, such as accuracy of a classification."""
    minimum: float = 0.0
    """The challenger's metric, whatever the champion's is, where higher is better."""
    maximum: pydantic.NonNegativeFloat | None = None
    """The same where lower is better."""
    margin: pydantic.NonNegativeFloat = 0.0
    """It may be worse than the champion's by so much, in the metric's unit."""
    needs_improvement: bool = False
    """It must be better in `confidence` of the paired resamples."""
    confidence: Share = 0.95
    """Also of the intervals that are reported."""
    num_resamples: int = pydantic.Field(default=1000, ge=100)
    slice_margin: pydantic.NonNegativeFloat = 0.05
    """No slice (by length, target, source) may be worse than the champion's by more, in the unit of
    the metric that the task judges slices by."""
    slice_minimum: float = 0.0
    """Of each slice, where higher is better."""
    min_slice_size: pydantic.PositiveInt = 50
    """Smaller slices are reported, not judged."""
    max_latency_ms: pydantic.PositiveFloat | None = None
    """Median of single texts."""
    max_latency_ratio: pydantic.PositiveFloat | None = 1.5
    """To the champion's, both measured in turn."""
    max_size_mb: pydantic.PositiveFloat | None = None
    max_size_ratio: pydantic.PositiveFloat | None = 2.0
    max_calibration_error: Share | None = None
    """Expected calibration error, 15 bins."""
    max_drift: Share = 0.2
    """Of lengths and labels, see `data.inspection.text_profile.compare`. A larger one counts where
    chance explains it with a probability below `drift_p_value`."""
    max_unknown_drift: Share = 0.02
    """Of the share of [UNK]."""
    drift_p_value: Share = 0.001
