#!/bin/sh
# Every new message as a line, for as long as this runs: follow.sh [PORT]
nc 127.0.0.1 "${1:-5050}" </dev/null | sed -un "s/\r$//; s/^New Email Received: //p"
