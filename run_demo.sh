#!/usr/bin/env bash
# The story in two commands: fail, learn from one demonstration, succeed; then poisoned updates, held back or undone.
# Arguments go to both runs: ./run_demo.sh seed=3 dashboard.mode=plain
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
scripts/setup_env.sh || exit 3
export TOKENIZERS_PARALLELISM=false

showonce=.venv/bin/showonce
echo "== 1/2 show once, learn, do it without the demonstration"
$showonce run --config configs/demo.yaml "$@"
echo
echo "== 2/2 poisoned updates, held back or undone"
$showonce run --config configs/demo_fault.yaml "$@"

cat <<'END'

What next (with `source .venv/bin/activate`):
  showonce runs                       both runs in one table
  showonce watch latest               the dashboard of the last run again
  showonce prove latest               the controls: was it really learned from the demonstration?
  showonce rollback latest --list     its checkpoints
  showonce record --oracle task=app/dev/single/1 && showonce run task=app/dev/single/1
  showonce doctor                     what else this machine can do
END
