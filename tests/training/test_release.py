"""A release is whole or absent, and what was changed on disk is refused. The log: two buy tea, two buy coffee."""

import json
import multiprocessing
import pickle
import shutil
from datetime import datetime

import numpy as np
import pytest

from features.interactions import Interactions
from features.workspace import Workspace
from training import release
from training.recommenders.base import ItemFilter
from training.recommenders.popularity import Popularity
from training.recommenders.tifu import Tifu

AS_OF = datetime.fromisoformat("2024-03-01")


def shop_log():
    time = np.array(["2024-02-01"] * 4, dtype="M8[us]")
    customer, item = np.arange(4, dtype=np.int32), np.array([1, 1, 0, 0], dtype=np.int32)
    weight = np.array([1, 2, 1, 1], dtype=np.float32)
    names = np.array(["ann", "bob", "cyd", "dan"])
    return Interactions(names, np.array(["coffee", "tea"]), customer, item, weight, weight, time, time, AS_OF)


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "attune.yaml").write_text("name: shop\n")
    return Workspace.open(tmp_path / "shop")


def trained(workspace, tmp_path, run="run1"):
    """The folder that would be registered, and what the run left in the workspace."""
    shop_log().save(workspace.runs / run)
    folder = tmp_path / "registered"
    release.save_model(
        Popularity().fit(shop_log()), folder, {"kind": "recommender", "name": "popularity", "as_of": AS_OF}
    )
    return folder


def written(workspace, tmp_path, version="1", **facts):
    folder = trained(workspace, tmp_path)
    return release.write_release(workspace, folder, version=version, run_id="run1", facts=facts)


def test_a_release_answers_like_the_model_that_was_trained(workspace, tmp_path):
    found = release.load_release(written(workspace, tmp_path))
    histories = found.interactions.rows(["ann", "nobody"])
    answers = [
        model.recommend_for(histories, 2, items=ItemFilter(), as_of=AS_OF)
        for model in (found.recommender, Popularity().fit(shop_log()))
    ]
    for ours, theirs in zip(answers[0].items, answers[1].items, strict=True):
        assert ours.tolist() == theirs.tolist() == ["tea", "coffee"]
    assert (found.kind, found.name, found.version, found.as_of) == ("recommender", "popularity", "1", AS_OF)


def test_customers_alike_teach_in_a_release_and_are_absent_where_it_has_no_customers(workspace, tmp_path):
    """Nobody bought both: only with the others as neighbours has coffee a score for ann, who bought tea."""
    shop_log().save(workspace.runs / "run1")
    folder = tmp_path / "registered"
    release.save_model(Tifu().fit(shop_log()), folder, {"kind": "recommender", "name": "tifu", "as_of": AS_OF})
    made = release.write_release(workspace, folder, version="1", run_id="run1", facts={})
    ann = shop_log().rows(["ann"])
    assert release.load_release(made).recommender.scores(ann, AS_OF)[0, 0] > 0
    assert Tifu.load(made / "model").scores(ann, AS_OF)[0, 0] == 0


def test_the_model_side_names_no_customer_and_holds_no_pickle(workspace, tmp_path):
    folder = written(workspace, tmp_path)
    files = [path for path in folder.rglob("*") if path.is_file()]
    beside = [path for path in files if "customers" not in path.relative_to(folder).parts]
    assert not [path for path in beside if b"ann" in path.read_bytes() or b"bob" in path.read_bytes()]
    assert {path.suffix for path in files} <= {".json", ".npz"}
    for path in folder.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays.files)


@pytest.mark.parametrize("name", ["model/more.pkl", "model/more", "customers/more.npz"])
def test_a_folder_that_holds_a_pickle_is_refused_unread(workspace, tmp_path, name):
    folder = written(workspace, tmp_path)
    (folder / name).write_bytes(pickle.dumps(["anything"]))
    with pytest.raises(ValueError, match=rf"{folder / name}: is a pickle; .* refused"):
        release.load_release(folder)


@pytest.mark.parametrize("harm", ["change", "remove"])
@pytest.mark.parametrize("part", ["model", "customers"])
def test_a_file_that_was_changed_or_removed_is_named(workspace, tmp_path, part, harm):
    folder = written(workspace, tmp_path)
    victim = next((folder / part).glob("*.npz"))
    if harm == "change":
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    else:
        victim.unlink()
    with pytest.raises(ValueError, match=rf"{victim}: the checksum is not the manifest's; promote the model again"):
        release.load_release(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": {}}'])
def test_a_manifest_that_cannot_be_read_is_one_line(workspace, tmp_path, text):
    folder = written(workspace, tmp_path)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(
        ValueError, match=r"manifest.json: not a readable manifest .*; promote the model again"
    ) as error:
        release.load_release(folder)
    assert "\n" not in str(error.value)


def test_an_unknown_model_names_those_there_are(workspace, tmp_path):
    folder = written(workspace, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"name": "oracle"}))
    with pytest.raises(ValueError, match=r"names 'oracle'; known recommender models are \['als'"):
        release.load_release(folder)


def test_writing_again_disturbs_nobody_and_a_broken_one_is_replaced(workspace, tmp_path):
    folder = written(workspace, tmp_path)
    before = (folder / "manifest.json").stat().st_ino
    assert (written(workspace, tmp_path) / "manifest.json").stat().st_ino == before
    shutil.rmtree(folder / "model")
    written(workspace, tmp_path)
    assert release.load_release(folder).name == "popularity"
    assert not list(folder.parent.glob(".building-*")) + list(folder.parent.glob(".old*"))


def test_a_write_that_fails_leaves_nothing(workspace, tmp_path):
    folder = trained(workspace, tmp_path)
    shutil.rmtree(folder / "model")
    with pytest.raises(OSError, match="model"):
        release.write_release(workspace, folder, version="1", run_id="run1", facts={})
    assert [path.name for path in (workspace.releases / "recommender").iterdir() if path.is_dir()] == []


def test_the_pointer_remembers_the_one_before(workspace):
    assert release.current(workspace, "uplift") is None
    for version in ("1", "2", "2"):
        release.point(workspace, "uplift", version)
    assert release.current(workspace, "uplift") == workspace.releases / "uplift" / "2"
    assert release.previous(workspace, "uplift") == "1"


def test_without_an_earlier_release_going_back_is_refused(workspace):
    with pytest.raises(ValueError, match="uplift has no earlier release to go back to"):
        release.previous(workspace, "uplift")


def write_often(folder, registered, number):
    workspace = Workspace.open(folder)
    for turn in range(5):
        release.write_release(workspace, registered, version="1", run_id="run1", facts={"by": f"{number} {turn}"})
        release.point(workspace, "recommender", "1")


# Python 3.12 warns that a fork copies threads; these processes use none of them.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_two_processes_at_once_both_write(workspace, tmp_path):
    registered = trained(workspace, tmp_path)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(workspace.folder, registered, n)) for n in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert release.load_release(release.current(workspace, "recommender")).name == "popularity"
