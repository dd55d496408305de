#!/usr/bin/env bash
# Everything that must hold: format, lint, types, layers, tests. Arguments go to pytest: ./run_tests.sh -k settings
#   SHOWONCE_TEST_WORKERS=N   processes that run tests side by side (default: one per core, at most 4)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
scripts/setup_env.sh dev,browser,desktop,export,gym,miniwob,ocr,scale,tables || exit 3

export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"

# Window tests want a display (each worker starts an Xvfb of its own), browser tests a browser. What is missing is installed only where that may be done
# without asking; else those tests are skipped with the reason.
if [ "$(uname -s)" = Linux ] && command -v apt-get >/dev/null 2>&1; then
  packages=()
  command -v Xvfb >/dev/null 2>&1 || packages+=(xvfb)
  command -v openbox >/dev/null 2>&1 || packages+=(openbox)
  command -v xdotool >/dev/null 2>&1 || packages+=(xdotool)
  command -v tesseract >/dev/null 2>&1 || packages+=(tesseract-ocr)
  command -v xterm >/dev/null 2>&1 || packages+=(xterm)
  command -v chromium-headless-shell >/dev/null 2>&1 || packages+=(chromium-headless-shell)
  command -v chromium >/dev/null 2>&1 || packages+=(chromium fonts-liberation fonts-dejavu-core)
  sudo="" && [ "$(id -u)" = 0 ] || sudo="sudo -n"
  if [ ${#packages[@]} -gt 0 ] && $sudo true >/dev/null 2>&1; then
    echo "== installing ${packages[*]} for the browser and display tests"
    install() { DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1; }
    install "${packages[@]}" || { $sudo apt-get update -qq >/dev/null 2>&1 && install "${packages[@]}"; } ||
      echo "they could not be installed: tests that need them are skipped"
  fi
fi
cores="$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)"
workers="${SHOWONCE_TEST_WORKERS:-$((cores < 4 ? cores : 4))}"

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
check "pytest" $bin/python -m pytest -n "$workers" --durations=10 "$@"

echo
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAILED: $(IFS=,; echo "${failed[*]}") ($SECONDS s)"
  exit 1
fi
echo "all good ($SECONDS s)"
