# Sourced by scripts/demo and scripts/test: makes .venv inside the checkout and sets RUN to its programs.
# usage: . scripts/_environment.sh; prepare "EXTRAS" "GROUPS"
# uv is used if it is there; otherwise the newest python3 from 3.11 on, with venv and pip. Nothing is installed globally.

find_python() {
    for candidate in python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer is needed (or uv, which brings its own)." >&2
    return 1
}

prepare() {
    extras=$1
    groups=$2
    if command -v uv >/dev/null 2>&1; then
        flags=""
        for extra in $extras; do flags="$flags --extra $extra"; done
        for group in $groups; do flags="$flags --group $group"; done
        # shellcheck disable=SC2086
        uv sync --quiet --inexact --no-default-groups $flags
    else
        python=$(find_python)
        [ -d .venv ] || "$python" -m venv .venv
        .venv/bin/python -m pip install --quiet --upgrade "pip>=25.1"
        flags=""
        for group in $groups; do flags="$flags --group $group"; done
        # shellcheck disable=SC2086
        .venv/bin/python -m pip install --quiet --editable ".[$(echo "$extras" | tr ' ' ',')]" $flags
    fi
    RUN=".venv/bin"
}

# The clients of the gateway that do not go together with the rest, in an environment of their own: .venv-clients.
prepare_clients() {
    if command -v uv >/dev/null 2>&1; then
        UV_PROJECT_ENVIRONMENT=.venv-clients uv sync --quiet --only-group clients
    else
        [ -d .venv-clients ] || "$(find_python)" -m venv .venv-clients
        .venv-clients/bin/python -m pip install --quiet --upgrade "pip>=25.1" &&
            .venv-clients/bin/python -m pip install --quiet --group clients
    fi
}
