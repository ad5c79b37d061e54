#!/bin/bash
# Trains until it is done: once more after a crash, and after a restart of the machine if
# whatever starts this script does so at boot.
#
#   examples/spot.sh [DIRECTORY]
#
# A machine that is taken away is shut down: the init system sends SIGTERM to every
# process, and SIGKILL some time later. The training saves and ends, and this script
# begins no other. It passes no signal on, since the training gets its own; a second one
# would end it before it has saved.

directory=${1:-runs/until_done}
attempts=${ATTEMPTS:-20}

# Bash runs this when the training has ended.
stopped=
trap 'stopped=yes' TERM

for ((attempt = 1; attempt <= attempts; attempt++)); do
    python "$(dirname "$0")/train_until_done.py" "$directory"
    status=$?
    if [ "$status" -eq 0 ]; then
        exit 0
    fi
    echo "Attempt $attempt of $attempts ended with status $status." >&2
    [ -n "$stopped" ] || sleep "${PAUSE_SECONDS:-10}"
    [ -z "$stopped" ] || break
done
exit "$status"
