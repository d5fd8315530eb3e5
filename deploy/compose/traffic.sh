#!/bin/sh
# Calls the routes of faregate.yaml in turns, for as long as it runs.
call() {
  curl -sS -o /dev/null --max-time 60 http://faregate:4000/v1/chat/completions \
    -H 'content-type: application/json' -H "x-faregate-app: $2" \
    -d "{\"model\": \"$1\", \"stream\": $3, \"messages\": [{\"role\": \"user\", \"content\": \"Tell me of gates and fares.\"}]}"
}
while true; do
  call chat shop true &
  call direct search true &
  call local support true &
  call fragile batch false &
  call chat search false &
  wait
done
