#!/usr/bin/env bash
# Everything that must hold: format, lint, types, layers, tests. Arguments go to pytest: ./run_tests.sh -k settings
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
scripts/setup_env.sh dev || exit 3

export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"

# The window tests want a display. Xvfb gives one; it is installed only where that may be done without asking.
if [ "$(uname -s)" = Linux ] && [ -z "${DISPLAY:-}" ] && ! command -v Xvfb >/dev/null 2>&1; then
  sudo="" && [ "$(id -u)" = 0 ] || sudo="sudo -n"
  if command -v apt-get >/dev/null 2>&1 && $sudo true >/dev/null 2>&1; then
    echo "== installing Xvfb for the window tests"
    { $sudo apt-get install -qq -y xvfb xauth || { $sudo apt-get update -qq && $sudo apt-get install -qq -y xvfb xauth; }; } \
      >/dev/null 2>&1 || echo "Xvfb could not be installed: tests that need a display are skipped"
  fi
fi
display=()
if [ -z "${DISPLAY:-}" ] && command -v xvfb-run >/dev/null 2>&1 && command -v xauth >/dev/null 2>&1; then
  display=(xvfb-run -a)
fi

bin=.venv/bin
failed=()
check() { # check NAME COMMAND...
  local name="$1" start=$SECONDS
  shift
  echo "== $name"
  "$@" || failed+=("$name")
  echo "   $name: $((SECONDS - start)) s"
}
check "ruff check" $bin/ruff check .
check "ruff format" $bin/ruff format --check --quiet .
check "mypy" $bin/mypy
check "import layers" $bin/lint-imports
check "pytest" ${display[@]+"${display[@]}"} $bin/python -m pytest "$@"

echo
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAILED: $(IFS=,; echo "${failed[*]}") ($SECONDS s)"
  exit 1
fi
echo "all good ($SECONDS s)"
