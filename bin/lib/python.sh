# Sourced by the commands of bin/ that have to run before anything is set up.
# Given: $root. Gives: $python, an interpreter that is new enough, or ends with what to install.
# PYTHON in the environment chooses another one.

python=
for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
    [ -z "${PYTHON:-}" ] || break
done
if [ -z "$python" ]; then
    found=$("${PYTHON:-python3}" --version 2>&1) || found="no ${PYTHON:-python3}"
    echo "Python 3.11 or newer is needed; found: $found." >&2
    echo "Debian, Ubuntu: apt install python3 python3-pip python3-venv. macOS: brew install python3." >&2
    echo "One that is not on PATH: PYTHON=/path/to/python3 $0" >&2
    exit 1
fi
