#!/bin/sh
echo '{"graph": {}}' > "$2"
