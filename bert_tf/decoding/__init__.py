"""The search over a decoder's outputs, as a TensorFlow graph: greedy, beam search, sampling.

    decoder.py            what a decoder must offer, and the tokens that a search knows
    search.py             `search`: the method that the configuration names
    stepwise.py, beam.py  one step: token by token; the best hypotheses of a beam
    loop.py               all steps; texts that are done leave it
    row_settings.py       what each text of a batch may have for itself, and what is wrong with it
    rules.py              tokens that must not come next
    log_probabilities.py  of the next token; NaN is found here
    cache.py              repeated, reordered, bounded
    sampling.py           one token drawn; random_numbers.py: from which numbers
    answers.py            what comes out; length_penalty.py: their scores

Letters in shapes: B texts, H hypotheses of each (K in a beam), T tokens so far, N answers, V the
vocabulary, W the vocabulary rounded up (`log_probabilities.py`).
"""
