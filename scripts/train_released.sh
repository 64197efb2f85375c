#!/bin/sh
# Trains all that ships, in order; see train_released.py, which does the work and knows the options.
exec "${PYTHON:-python3}" "$(dirname "$0")/train_released.py" "$@"
