#!/bin/sh
# Never ends. Whoever reads the fifo sees the end of this process.
exec 3> "$5/fifo"
echo waiting
exec sleep 100
