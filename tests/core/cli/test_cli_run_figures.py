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


def test_a_steered_run_ends_with_what_steering_was_worth(tmp_path):
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        "qecforge: 1\nname: short\nenvironment: {plugin: surface_steering, distance: 3, rounds: 3, cycles: 300}\n"
        "agent: {plugin: parameter_ppo, total_epochs: 20, candidates: 4}\n"
        "evaluation: {steering: {ler_epochs: 2, shots: 200, priors: [nominal]}}\n",
        encoding="utf-8",
    )
    url = f"sqlite:///{tmp_path}/results.db"
    result = invoke("run", str(manifest), "--store", url)
    assert result.exit_code == 0, result.output
    rows = [line.split()[1:3] for line in result.stdout.splitlines() if " nominal " in line]
    assert [control for control, _ in rows] == ["fixed", "steered", "optimal"]
    run = result.stdout.split("qecforge runs show ")[1].split()[0]
    shown = invoke("runs", "show", run, "--store", url).stdout
    assert "steering/stabilizer/fixed/… (8 of these: --format json)" in shown
    assert "steering/stabilizer/fixed/(" not in shown
