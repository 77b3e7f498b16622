#!/bin/sh
# Each event as JSON, from where the last run stopped: resume.sh [PORT [COUNT [POSITION_FILE]]]
kept=${3:-position}
since=$(cat "$kept" 2>/dev/null || echo oldest)
mailnotify tail --json --server "127.0.0.1:${1:-5050}" --since "$since" ${2:+--count "$2"} |
while read -r line; do
    printf '%s\n' "$line" # deal with it here, and keep the position afterwards, in one step
    position=${line#*\"position\":\"}
    printf '%s' "${position%%\"*}" >"$kept.new" && mv "$kept.new" "$kept"
done
