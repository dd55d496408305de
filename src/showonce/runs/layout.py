"""What a run writes to disk: every file and folder name, once.

logs/                         the setting `output.logs`
  index.jsonl                 two lines a run: started, finished
  imported/                   demonstrations from files of other programs
  receipts/                   a folder a task: which rows `showonce do` has done (`runs.receipts`)
  <time>-<name>/              a run's folder; the setting `run_dir` gives another place
    config.yaml               every setting, resolved; a folder that has this file is a run's folder
    versions.json             packages, platform, git revision, working folder
    events.jsonl              what happened, a line an event (`showonce.events`)
    episodes/                 a folder an episode (`demonstrations.format`): its steps and screenshots
    targets/                  what replays of a recording in it found although it had changed (`runtime.repairs`)
    demonstration/            the same for the demonstration that an oracle gave to this run
    downloads/                what a browser saved, unless its settings name another folder
    results.jsonl             a line a measured attempt
    after.json                what the new process reported that measured the part `after`
    metrics.json              the run in numbers
    summary.md                one page for a person, with learning_curve.png
    proof.json                the controls of `showonce prove`, with card.md and card.png
    scores.json               the numbers of `showonce eval`
    receipts/                 a folder an attempt of `showonce do`: receipt.json, receipt.md and pictures
    comparison.csv, .json, .md, .png, and lessons.csv      what `showonce compare` found
    settings.json, jobs.jsonl, lessons/, .lock, lock.json  what it goes on from (`app.jobs`), and who is at it
    tensorboard/, wandb/      where `output.trackers` asks for them
    STOP, PAUSE               made by a person: the run stops, or pauses while the file is there

What was learned lies elsewhere, in the adapter store (`versions.store`, the setting `output.adapters`).
"""

from __future__ import annotations

from typing import Final

INDEX: Final = "index.jsonl"
IMPORTED: Final = "imported"

CONFIG: Final = "config.yaml"
VERSIONS: Final = "versions.json"
EVENTS: Final = "events.jsonl"
EPISODES: Final = "episodes"
DEMONSTRATION: Final = "demonstration"  # also the phase of the episode in it
DOWNLOADS: Final = "downloads"
RESULTS: Final = "results.jsonl"
AFTER_REPORT: Final = "after.json"
METRICS: Final = "metrics.json"
SUMMARY: Final = "summary.md"
PICTURE: Final = "learning_curve.png"
PROOF: Final = "proof.json"
CARD: Final = "card.md"
CARD_PICTURE: Final = "card.png"
SCORES: Final = "scores.json"
RECEIPTS: Final = "receipts"
RECEIPT: Final = "receipt.json"
RECEIPT_PAGE: Final = "receipt.md"
COMPARISON: Final = "comparison"  # with .csv, .json, .md and .png
LESSON_ROWS: Final = "lessons.csv"
TENSORBOARD: Final = "tensorboard"
STOP: Final = "STOP"
PAUSE: Final = "PAUSE"
