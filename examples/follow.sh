#!/bin/sh
# Every new message as a line, for as long as this runs: follow.sh [PORT]
# An nc that closes its side when its input ends (BusyBox, ncat) needs an input that does not.
nc 127.0.0.1 "${1:-5050}" </dev/null | sed -un "s/\r$//; s/^New Email Received: //p"
