#!/bin/sh
# Writes more than anyone wants to see, and fails.
seq 1 20000
printf 'ModuleNotFoundError: \033[31mnumpy\033[0m\n' >&2
exit 3
