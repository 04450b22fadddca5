#!/bin/sh
# Makes the exports of the test projects anew, with the real chalkpy:
#
#     chalk-deploy-core/tests/projects/remake.sh [PROJECT...]
#
# It needs Python 3.11 or later and a registry of Python packages. Then review what changed in `expected.txt`: that file
# is what the tests hold the checks to.
set -eu

cd "$(dirname "$0")"
version=2.166.1
environment=${CHALKPY_ENVIRONMENT:-$(mktemp -d)}
if [ ! -x "$environment/bin/chalkpy" ]; then
    "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/pip" install --quiet "chalkpy[postgresql,runtime,sql]==$version"
fi
"$environment/bin/python" -c "
import importlib.metadata as m
found = m.version('chalkpy')
assert found == '$version', f'the exports are of chalkpy $version, and this is {found}'"

[ $# -gt 0 ] || set -- */
for project in "$@"; do
    project=${project%/}
    rm -rf "$project/__pycache__"
    # chalkpy ends well even where it found something: that is in the export.
    (cd "$project" && PYTHONDONTWRITEBYTECODE=1 "$environment/bin/chalkpy" export export.pb --proto --lsp --directory "$PWD")
done > /dev/null

# Paths and random ids of this machine are taken out as chalk-deploy does with every export, and the findings are written
# down.
cargo test --quiet -p chalk-deploy-core --all-features --lib graph::projects::write -- --ignored
