#!/usr/bin/env bash
# Makes .venv in the project's root with the pinned packages of constraints.txt and showonce itself (editable).
#   scripts/setup_env.sh [EXTRA,...]        e.g. scripts/setup_env.sh dev
# Quick when nothing changed: a stamp in .venv holds the hash of pyproject.toml, constraints.txt and this file.
#   PYTHON=/path/to/python3.12   the interpreter to use (3.11 or newer)
#   SHOWONCE_TORCH=cpu|default   which build of torch on Linux; default = cpu where no NVIDIA driver is found
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras="${1:-}"
venv=.venv
torch=2.13.0

usable() { # at least 3.11, and able to make an environment
  command -v "$1" >/dev/null 2>&1 &&
    "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() { # one with tkinter (recording by hand) before one without
  local candidate first=""
  if [ -n "${PYTHON:-}" ]; then
    usable "$PYTHON" && { echo "$PYTHON"; return; }
    echo "PYTHON=$PYTHON is not a Python of 3.11 or newer with venv and ensurepip." >&2
    return 1
  fi
  for candidate in python3.11 python3.12 python3.13 python3 python; do
    usable "$candidate" || continue
    first="${first:-$candidate}"
    "$candidate" -c 'import tkinter' >/dev/null 2>&1 && { echo "$candidate"; return; }
  done
  [ -n "$first" ] && { echo "$first"; return; }
  echo "showonce needs Python 3.11 or newer with venv and ensurepip; none was found. Set PYTHON=/path/to/python3." >&2
  return 1
}

install_torch() { # first and alone, so that the CPU build is not replaced by one that brings gigabytes of CUDA
  local pip=("$venv/bin/python" -m pip install --quiet --constraint constraints.txt)
  local build="${SHOWONCE_TORCH:-}"
  if [ -z "$build" ]; then
    build=default
    if [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1; then build=cpu; fi
  fi
  if [ "$build" = cpu ] && [ "$(uname -s)" = Linux ]; then
    "${pip[@]}" "torch==$torch+cpu" 2>/dev/null && return
    "${pip[@]}" "torch==$torch+cpu" --extra-index-url https://download.pytorch.org/whl/cpu && return
    echo "no CPU build of torch could be fetched; taking the default one" >&2
  fi
  "${pip[@]}" "torch==$torch"
}

sha() { if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi; }

stamp="$venv/.showonce-stamp" # three lines: the folder, what it was made from, the extras that are in it
made_from="$(cat pyproject.toml constraints.txt scripts/setup_env.sh | sha | cut -d' ' -f1)"
line() { sed -n "$1p" "$stamp" 2>/dev/null || true; }
installed=""
if [ -f "$stamp" ] && [ "$(line 1)" != "$PWD" ]; then
  rm -rf "$venv" # it was moved or copied here; its scripts point to the old place
elif [ -x "$venv/bin/python" ] && [ "$(line 2)" = "$made_from" ]; then
  installed="$(line 3)"
  case ",$installed," in *",$extras,"*) exit 0 ;; esac
  [ -n "$extras" ] || exit 0
fi

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
  python="$(find_python)"
  echo "making $venv with $("$python" --version)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
echo "installing the pinned packages into $venv (a few minutes the first time) ..."
install_torch
"$venv/bin/python" -m pip install --quiet --constraint constraints.txt --editable ".${extras:+[$extras]}"
printf '%s\n%s\n%s\n' "$PWD" "$made_from" "${installed:+$installed,}$extras" >"$stamp.new"
mv "$stamp.new" "$stamp"
