"""What the benchmark makes of its figures, and that the documents show what was measured."""

import pytest

from bench import results
from bench.results import Row


def test_a_target_is_of_the_median_ratio_where_there_is_a_yardstick() -> None:
    """Each round is held against the yardstick of the same minute."""
    row = Row("x", "holds/s", [10, 20, 30], "higher", 0.5, [40, 20, 10], "y")
    assert row.ratios == [0.25, 1, 3]
    assert row.met
    assert not Row("x", "holds/s", [10, 20, 30], "higher", 1.1, [40, 20, 10], "y").met


def test_a_target_without_a_yardstick_is_of_the_median() -> None:
    """As for a time or a size, where less is better."""
    assert Row("x", "ms", [1, 2, 9], "lower", 2).met
    assert not Row("x", "ms", [1, 3, 9], "lower", 2).met
    assert Row("x", "ms", [1, 3, 9], "lower").met is None


def test_the_document_shows_the_saved_run() -> None:
    """The tables of docs/performance.md are what the last full run wrote, and nobody edited."""
    if not (results.FOLDER / "full.json").exists():
        pytest.fail("no full run was saved")
    saved, text = results.load("full"), results.DOCS.read_text(encoding="utf-8")
    assert results.markdown(saved) in text
    assert results.model(saved) in text


def test_the_model_counts_whole_processes() -> None:
    """At seven tenths of a processor each."""
    table = results.model({"series": {"cpu_us_per_hold": {"api": 350, "worker": 70, "redis": 140, "queue": 7}}})
    assert "| API: processes | 350 | 1 | 5 | 50 |" in table
    assert "| Redis, state: processes | 140 | 1 | 2 | 20 |" in table
    assert "| machines of 8 processors | 567 | 1 | 2 | 11 |" in table
