"""People of another model than the current run's have no names: commands that read them say so, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from curate.curate_store import coded, people, picture, write
from people_store import call, other_card

from facecluster.cli import main
from facecluster.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Six people, grouped by the model `other`, then by the bundled one, and one name."""
    made, _ = write(tmp_path / "store", people([10] * 6)[0], [f"/p/{i}.jpg" for i in range(60)], [coded(picture(i)) for i in range(60)])
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("FACECLUSTER_MODELS", str(tmp_path / "models"))
    other_card(tmp_path / "models")
    made.write("embeddings/other", "00000", made.read("embeddings/bundled", "00000"), {"table": "embeddings"})
    for model in ("other", "bundled"):
        call("cluster", made.url, "--model", model)
    call("name", made.url, "1", "Ada")
    return made


def test_the_people_of_another_model_have_no_names_and_that_is_said(store: Store, tmp_path: Path) -> None:
    note = "note: names and lasting ids are those of the current run, which is of the model bundled: the people of other have numbers only"
    commands = (
        ["report", store.url],
        ["export", store.url, "--format", "csv", "-o", str(tmp_path / "csv")],
        ["show", store.url, "1"],
        ["show", store.url, "Ada"],
        ["curate", store.url],
        ["match", str(tmp_path / "none.jpg"), "--store", store.url],
    )
    for words in commands:
        said = {model: CliRunner().invoke(main, [*words, *model]).stderr.count(note) for model in ((), ("--model", "bundled"))}
        assert said == {(): 0, ("--model", "bundled"): 0}, words
        found = CliRunner().invoke(main, [*words, "--model", "other"])
        assert found.stderr.count(note) == 1, (words, found.output)
    assert call("curate", store.url, "--model", "other", "--labels", "folder").stderr.count(note) == 0
