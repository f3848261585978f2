"""`qecforge runs figures`."""

from cli_harness import invoke, one_line

from qecforge import Store


def test_figures_of_a_run_are_written_and_named(filled):
    with Store("sqlite:///results.db") as store:
        run = store.runs(seed=5)[0]
        store.add_metrics(run.id, [("steering/steered/rate", epoch, 0.1, 0.0) for epoch in (0, 10)])
    result = invoke("runs", "figures", run.id[:6], "--out", "drawn")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"drawn/{run.id}_detection_rate.png\n"
    assert (filled / "drawn" / f"{run.id}_detection_rate.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_that_recorded_nothing_is_one_line(filled):
    with Store("sqlite:///results.db") as store:
        run = store.runs(seed=6)[0]
    line = one_line(invoke("runs", "figures", run.id, "--out", "drawn"))
    assert line.startswith(f"run {run.id} (walk) has no record that a figure could be drawn from: it takes ")
    assert not (filled / "drawn").exists()
