#!/bin/sh
# Sends one message with curl. The key makes it safe to run again: the same key sends once within 24 hours.
# --fail-with-body: exit code 22 and the problem document where it was not sent.
#
#   sh examples/curl.sh

curl --silent --show-error --fail-with-body "${POSTERN_URL:-http://localhost:8080}/v1/messages" \
  --header "Authorization: Bearer ${POSTERN_TOKEN:-sandbox-token-for-development}" \
  --header 'Content-Type: application/json' \
  --header "Idempotency-Key: ${ORDER:-order-17}-shipped" \
  --data '{
    "from": "Shop <shop@example.com>",
    "to": "ben@example.com",
    "subject": "Your order is on its way",
    "text": "It should arrive on Thursday."
  }'
