"""The tables themselves: broad enough, each row with its source, each deviation with its reason."""

from collections import Counter

from tests.serving.stock import (
    deviations,
    metric_cases,
    test_stock_config,
    test_stock_grpc,
    test_stock_rest,
    version_cases,
    warmup_cases,
)

ROWS = [
    *test_stock_rest.CASES,
    *test_stock_grpc.CASES,
    *test_stock_config.CONFIG_CASES,
    *version_cases.CASES,
    *warmup_cases.CASES,
    *metric_cases.CASES,
]
MAX_DEVIATIONS = 20


def test_tables_hold_hundreds_of_requests():
    assert len(ROWS) >= 900


def test_every_row_names_its_source():
    for row in ROWS:
        assert row.source, row
        assert any(word in row.source for word in (".cc", ".c ", "DirectSession")), row


def test_ids_are_not_given_twice_within_a_table():
    for rows in (
        test_stock_grpc.CASES,
        test_stock_config.CONFIG_CASES,
        version_cases.CASES,
        warmup_cases.CASES,
    ):
        twice = [name for name, count in Counter(row.id for row in rows).items() if count > 1]
        assert twice == []


def test_deviations_are_few_and_have_reasons():
    found = [row.ours for row in test_stock_rest.CASES if row.ours]
    assert len(found) + len(deviations.GRPC) <= MAX_DEVIATIONS
    assert all(deviation.reason.endswith(".") for deviation in found)
    assert set(deviations.REST) <= {row.id for row in test_stock_rest.CASES}
    assert set(deviations.GRPC) <= {row.id for row in test_stock_grpc.CASES}
