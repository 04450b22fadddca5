#!/bin/sh
# Stands in for chalkpy: exports what lies in the project as source.pb, and says how it was called.
[ "$1 $3 $4" = "export --proto --directory" ] || { echo "unknown arguments: $*" >&2; exit 2; }
[ "$PWD" = "$5" ] || { echo "started in $PWD and not in the project" >&2; exit 2; }
echo "$0 $VIRTUAL_ENV $PYTHONDONTWRITEBYTECODE" > "$5/called"
cat > "$5/input"
cp "$5/source.pb" "$2"
