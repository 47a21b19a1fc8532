"""The replay of recordings, on made-up ones whose answers are known."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from benchmarks import traces
from benchmarks.traces import BASELINES, Minute, Pod, Shipped, Stops, replay_pod, replay_session
from instances.facts import limits_of
from instances.idle import Limits
from instances.models import Policy

BUSY, IDLE = Minute(80, 1), Minute(0, 0)
MEAN = BASELINES["mean < 5 % for 30 min"]
ZERO_30 = BASELINES["max = 0 for 30 min"]


def pod(*stretches: tuple[int, Minute | None]) -> Pod:
    """Stretches of equal minutes, one after the other; None is silence."""
    minutes = [minute for count, minute in stretches for _n in range(count)]
    return {number: minute for number, minute in enumerate(minutes) if minute}


def test_what_is_replayed_is_the_default_policy() -> None:
    assert limits_of(Policy()) == Limits()


def test_a_pod_is_stopped_once_in_each_idle_stretch_and_comes_back_with_its_work() -> None:
    assert replay_pod(pod((10, BUSY), (100, IDLE), (10, BUSY), (29, IDLE), (1, BUSY)), Shipped) == Stops(1, 0, 0)
    assert replay_pod(pod((10, BUSY), (31, IDLE), (10, BUSY), (31, IDLE)), Shipped) == Stops(2, 0, 0)


def test_a_stop_in_a_minute_with_work_that_the_gpu_does_not_show_is_a_hit() -> None:
    loads = Minute(0, 1)
    assert replay_pod(pod((10, BUSY), (29, IDLE), (1, loads), (5, IDLE)), Shipped) == Stops(1, 1, 0)
    assert replay_pod(pod((10, BUSY), (30, IDLE), (1, loads), (5, IDLE)), Shipped) == Stops(1, 0, 1)


def test_a_little_gpu_in_each_minute_is_work_for_the_rule_and_idleness_for_a_mean() -> None:
    trickle = pod((60, Minute(0.6, 1)))
    assert replay_pod(trickle, Shipped) == Stops()
    assert replay_pod(trickle, MEAN) == Stops(2, 2, 0)


def test_missing_minutes_are_silence_and_no_zeros() -> None:
    silent = pod((10, BUSY), (1, IDLE), (23, None), (10, BUSY))
    assert replay_pod(silent, Shipped) == Stops()
    # The quiet time passes in a silent minute, and the next report tells of work.
    gaps = pod((10, BUSY), (28, IDLE), (2, None), (3, BUSY))
    assert replay_pod(gaps, Shipped) == Stops()
    assert replay_pod(gaps, ZERO_30) == Stops(1, 1, 0)


def test_a_long_silence_is_a_stop_and_hits_what_was_going_on_all_the_time() -> None:
    assert replay_pod(pod((10, BUSY), (60, None), (1, BUSY)), Shipped) == Stops(1, 0, 0)
    assert replay_pod(pod((10, BUSY), (60, None), (1, Minute(0, 2)), (1, BUSY)), Shipped) == Stops(1, 1, 0)


def test_a_gpu_that_cannot_be_read_is_silence_too() -> None:
    blind = Minute(None, 1)
    assert replay_pod(pod((10, BUSY), (20, blind), (10, BUSY)), Shipped) == Stops()


def test_a_notebook_is_billed_while_up_and_a_training_after_a_long_pause_finds_it_off() -> None:
    use = replay_session([(0, 10), (30, 40), (80, 90)], Shipped)
    # Up from 0 to 40.5 + 30, and from 80 to 90.5 + 30; reports come half-way through each minute.
    assert (use.span, use.billed) == (90, 70.5 + 40.5)
    assert (use.trainings, use.found_off, use.cut_off) == (3, 1, 0)
    assert use.cold_pct == pytest.approx(100 / 3)


def test_a_training_that_starts_as_the_quiet_time_ends_finds_the_machine_on() -> None:
    assert replay_session([(0, 10), (40, 50)], Shipped).found_off == 0
    assert replay_session([(0, 10), (41, 50)], Shipped).found_off == 1


def test_a_rule_that_stops_a_training_is_seen_doing_so() -> None:
    use = replay_session([(0, 1), (20, 21), (30, 40)], BASELINES["mean < 10 % for 30 min"])
    assert (use.cut_off, use.found_off) == (1, 0)


GPU_MINUTES = "pod,minute,gpu_pct,gpu_mem_mib,work\n" + "".join(f"0,{n},{80 * (n < 5)},900,0\n" for n in range(60))
TRAININGS = "session,gpus,start_min,end_min\n0,1,0,10\n0,1,100,110\n"


def last_line(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict:
    monkeypatch.setattr(sys, "argv", ["traces", str(folder)])
    traces.main()
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_any_folder_with_files_of_the_formats_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.csv").write_text(GPU_MINUTES)
    (tmp_path / "two.csv.gz").write_bytes(gzip.compress(TRAININGS.encode()))
    (tmp_path / "three.csv").write_text("a,b\n1,2\n")
    found = last_line(tmp_path, monkeypatch, capsys)
    assert found.keys() == {"work_hit", "stops", "notebook_billed_pct", "notebook_cold_pct", "baselines"}
    assert (found["work_hit"], found["stops"]) == (0, 1)
    assert (found["notebook_billed_pct"], found["notebook_cold_pct"]) == (round(100 * 81 / 110, 2), 50.0)
    assert found["baselines"].keys() == BASELINES.keys()


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "Which recordings?"), (["/nowhere/at/all"], "no folder"), (["."], "no recordings")]
)
def test_what_is_missing_is_said(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["traces", *arguments])
    with pytest.raises(SystemExit, match=said):
        traces.main()
