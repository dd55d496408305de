"""LeRobot's dataset v3.0: parquet files with one row a step, pictures inside, and the tables in `meta`.

Source: `src/lerobot/datasets/{utils,dataset_metadata,dataset_writer}.py` of huggingface/lerobot, codebase version v3.0.
Steps of a screen have no frame rate: `fps` is 1 and `timestamp` counts steps. `action` is a vector (the verb's index
and its numbers), `action_json` the exact action as text; a data set without that column is no data set of screens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from showonce.actions import MODIFIERS, VERBS, Action, from_json, held_in, to_json
from showonce.demonstrations.format import encode_png, lost_of
from showonce.demonstrations.formats import LeftOut, unused
from showonce.demonstrations.formats.pictures import decode_picture, one_size
from showonce.errors import BadInput, DemonstrationError, Unavailable
from showonce.fsio import atomic_write_json, make_folder, plain
from showonce.types import Demonstration, Frame, Observation

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    raise Unavailable("LeRobot's parquet files need pyarrow: pip install 'showonce[export]'") from None

VERSION: Final = "v3.0"
SCREEN: Final = "observation.images.screen"
EXACT: Final = "action_json"
# of `action`: what a verb has not is 0; held is the sum of 1, 2, 4, 8 for the `MODIFIERS` that are down
NUMBERS: Final = ("verb", "x", "y", "to_x", "to_y", "dx", "dy", "seconds", "held")
DATA: Final = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES: Final = "meta/episodes/chunk-000/file-000.parquet"
TASKS: Final = "meta/tasks.parquet"
ROWS_A_GROUP: Final = 16
_USED: Final = (SCREEN, EXACT, "note", "frame_index", "episode_index", "index", "task_index")
OURS: Final = (
    "showonce"  # a column of ours in the table of episodes, and a key in info.json: what the format has no place for
)


def read(path: Path, ignored: set[str]) -> Iterator[Demonstration | LeftOut]:
    """Yield every episode of a data set's folder.

    Raises:
        DemonstrationError: it is no such data set, or a row cannot be used; file and row are named.
    """
    info = _info(path)
    unused(info["features"], _USED, "features.", ignored)
    files = sorted(path.glob("meta/episodes/*/*.parquet"))
    episodes, tasks = [row for file in files for row in _table(file).to_pylist()], _table(path / TASKS)
    try:
        goals = dict(zip(tasks["task_index"].to_pylist(), tasks[_task_column(tasks)].to_pylist(), strict=True))
        known = {int(row["episode_index"]): json.loads(row.get(OURS) or "{}") for row in episodes}
        lengths = {int(row["episode_index"]): int(row["length"]) for row in episodes}
    except (KeyError, ValueError) as error:
        raise DemonstrationError(f"{path}/meta: the table of episodes or of tasks is damaged: {error!r}.") from None
    frames: dict[int, list[Frame]] = {index: [] for index in known}
    goals_of: dict[int, dict[str, None]] = {index: {} for index in known}
    for file in sorted(path.glob("data/*/*.parquet")):
        for number, row in enumerate(_rows(file)):
            where = f"{file} row {number + 1}"
            try:
                episode = int(row["episode_index"])
                image = decode_picture(row[SCREEN]["bytes"] or b"", SCREEN)
                frames[episode].append(
                    Frame(Observation(image), from_json(json.loads(row[EXACT])), row.get("note") or "")
                )
                if int(row["frame_index"]) != len(frames[episode]) - 1:
                    raise ValueError(f"frame_index {row['frame_index']} does not follow the row before it")
                goals_of[episode][str(goals[row["task_index"]])] = None
            except (BadInput, KeyError, TypeError, ValueError) as error:
                raise DemonstrationError(f"{where}: {error}. Nothing was imported.") from None
    count, expected = sum(map(len, frames.values())), info.get("total_frames")
    if (
        count != expected
        or {index: len(shown) for index, shown in frames.items()} != lengths
        or not all(lengths.values())
    ):
        raise DemonstrationError(f"{path}: {count} rows are there of {expected}. Nothing was imported.")
    for index, shown in sorted(frames.items()):
        kept = known[index]
        if len(goals_of[index]) > 1:
            yield LeftOut(f"{path} episode {index}", f"its steps are of {len(goals_of[index])} tasks")
            continue
        task, source = str(kept.get("task_id") or f"lerobot/{path.name}-{index}"), str(kept.get("source") or "person")
        yield Demonstration(
            task, next(iter(goals_of[index])), tuple(shown), source, f"{path} episode {index}", lost=lost_of(kept)
        )


def _info(path: Path) -> dict[str, Any]:
    file = path / "meta/info.json"
    try:
        info: dict[str, Any] = json.loads(file.read_text("utf-8"))
        version, features = str(info["codebase_version"]), info["features"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DemonstrationError(f"{path} is no LeRobot data set: {file} cannot be read ({error}).") from None
    if not version.startswith("v3."):
        raise DemonstrationError(f"{file}: codebase_version {version} is not {VERSION}; convert the data set first.")
    lacking = [name for name in (SCREEN, EXACT) if name not in features]
    if lacking:
        raise DemonstrationError(f"{file}: no {' and no '.join(lacking)}: its actions are not those of a screen.")
    if (kind := features[SCREEN].get("dtype")) != "image":
        raise DemonstrationError(f"{file}: {SCREEN} is stored as {kind}; only pictures within the tables are read.")
    if odd := [name for name in features if name.startswith("action") and name not in ("action", EXACT)]:
        raise DemonstrationError(f"{file}: the feature {odd[0]} is not known here and may change what is done.")
    return info


def _table(file: Path) -> Any:
    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise DemonstrationError(f"{file} cannot be read ({error}). Nothing was imported.") from None


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(ROWS_A_GROUP):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DemonstrationError(f"{file} cannot be read ({error}). Nothing was imported.") from None


def _task_column(tasks: Any) -> str:
    return next((name for name in ("task", "__index_level_0__") if name in tasks.schema.names), "task")


def write(demonstrations: Iterable[Demonstration], folder: Path) -> Path:
    """Write a data set and return its folder.

    Raises:
        DemonstrationError: the frames of the episodes have several sizes.
    """
    shown = list(demonstrations)
    try:
        one_size([frame for one in shown for frame in one.frames])
    except ValueError as error:
        raise DemonstrationError(f"a LeRobot data set has one frame size: {error}.") from None
    first = shown[0].frames[0].observation
    features = _features(first.height, first.width)
    goals = list(dict.fromkeys(one.goal for one in shown))
    for name in ("data/chunk-000", "meta/episodes/chunk-000"):
        make_folder(folder / name)
    schema = _schema(features)
    vectors = []
    episodes: list[dict[str, Any]] = []
    index = 0
    with pq.ParquetWriter(folder / DATA.format(chunk_index=0, file_index=0), schema, compression="snappy") as writer:
        for number, one in enumerate(shown):
            rows = []
            for at, frame in enumerate(one.frames):
                vectors.append(_vector(frame.action))
                picture = {"bytes": encode_png(frame.observation.image), "path": f"episode-{number:06d}-{at:06d}.png"}
                exact = json.dumps(to_json(frame.action), ensure_ascii=False)
                place = {"timestamp": float(at), "frame_index": at, "episode_index": number, "index": index + at}
                said = {EXACT: exact, "note": frame.note, "task_index": goals.index(one.goal)}
                rows.append({SCREEN: picture, "action": vectors[-1], **place, **said})
            writer.write_table(pa.Table.from_pylist(rows, schema=schema), row_group_size=ROWS_A_GROUP)
            episodes.append(_episode(number, one, index))
            index += len(rows)
    pq.write_table(pa.Table.from_pylist(episodes), folder / EPISODES)
    _write_tasks(goals, folder / TASKS)
    atomic_write_json(folder / "meta/info.json", {
        "codebase_version": VERSION, "robot_type": "screen", "total_episodes": len(shown), "total_frames": index,
        "total_tasks": len(goals), "chunks_size": 1000, "data_files_size_in_mb": 100, "video_files_size_in_mb": 500,
        "fps": 1, "splits": {"train": f"0:{len(shown)}"}, "data_path": DATA, "video_path": None, "features": features,
        OURS: {"verbs": list(VERBS), "modifiers": list(MODIFIERS)},
    })  # fmt: skip
    atomic_write_json(folder / "meta/stats.json", {"action": _stats(np.array(vectors))})
    return folder


def _features(height: int, width: int) -> dict[str, Any]:
    one = {"shape": [1], "names": None}
    return {
        SCREEN: {"dtype": "image", "shape": [height, width, 3], "names": ["height", "width", "channels"]},
        "action": {"dtype": "float32", "shape": [len(NUMBERS)], "names": list(NUMBERS)},
        EXACT: {"dtype": "string", **one},
        "note": {"dtype": "string", **one},
        "timestamp": {"dtype": "float32", **one},
        **{name: {"dtype": "int64", **one} for name in ("frame_index", "episode_index", "index", "task_index")},
    }


def _schema(features: dict[str, Any]) -> Any:
    """Return the arrow schema, with what `datasets` needs to see pictures in the column."""
    types = {"float32": pa.float32(), "int64": pa.int64(), "string": pa.string()}
    columns: list[Any] = []
    info: dict[str, Any] = {}
    for name, feature in features.items():
        kind = feature["dtype"]
        if kind == "image":
            columns.append((name, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
            info[name] = {"_type": "Image"}
        elif feature["shape"] == [1]:
            columns.append((name, types[kind]))
            info[name] = {"dtype": kind, "_type": "Value"}
        else:
            length = feature["shape"][0]
            columns.append((name, pa.list_(types[kind], length)))
            info[name] = {"feature": {"dtype": kind, "_type": "Value"}, "length": length, "_type": "List"}
    return pa.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": info}})})


def _vector(action: Action) -> list[float]:
    held = sum(2 ** MODIFIERS.index(name) for name in held_in(action))
    numbers = (float(getattr(action, name, 0.0)) for name in NUMBERS[1:-1])
    return [float(list(VERBS).index(action.verb)), *numbers, float(held)]


def _episode(number: int, shown: Demonstration, start: int) -> dict[str, Any]:
    return {
        "episode_index": number, "tasks": [shown.goal], "length": len(shown.frames), "data/chunk_index": 0,
        "data/file_index": 0, "dataset_from_index": start, "dataset_to_index": start + len(shown.frames),
        "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
        OURS: json.dumps(plain({"task_id": shown.task_id, "source": shown.source, "lost": shown.lost})),
    }  # fmt: skip


def _write_tasks(goals: Sequence[str], file: Path) -> None:
    """Write the table as pandas does with the task as its index, which LeRobot relies on."""
    described = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": described, "pandas_version": "2.0.0"}
    schema = pa.schema([("task_index", pa.int64()), ("task", pa.string())], metadata={"pandas": json.dumps(pandas)})
    rows = [{"task_index": index, "task": goal} for index, goal in enumerate(goals)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)


def _stats(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {
        **{name: getattr(values, name)(axis=0).tolist() for name in ("min", "max", "mean", "std")},
        "count": [len(values)],
    }
