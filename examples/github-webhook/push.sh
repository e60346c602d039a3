#!/bin/sh
# Plays a push as GitHub sends it, signed with the hook's secret (hooks.json). In GitHub, set under Settings > Webhooks
# the URL https://your-gateway/v1/hooks/ci, the content type application/json, and the same secret.
#
#   HOOKS_FILE=examples/github-webhook/hooks.json npm start
#   sh examples/github-webhook/push.sh

payload='{
  "ref": "refs/heads/main",
  "compare": "https://github.com/example/shop/compare/1a2b3c...4d5e6f",
  "repository": { "full_name": "example/shop", "html_url": "https://github.com/example/shop" },
  "pusher": { "name": "ben" },
  "sender": { "login": "ben" },
  "commits": [
    {
      "id": "4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70",
      "message": "Send the mail when the parcel leaves",
      "url": "https://github.com/example/shop/commit/4d5e6f70",
      "author": { "name": "Ben" }
    }
  ]
}'
secret="${GITHUB_WEBHOOK_SECRET:-replace-this-secret}"
signature=$(printf '%s' "$payload" | openssl dgst -sha256 -hmac "$secret" | sed 's/.*= //')

curl --silent --show-error --fail-with-body "${POSTERN_URL:-http://localhost:8080}/v1/hooks/ci" \
  --header 'Content-Type: application/json' \
  --header 'X-GitHub-Event: push' \
  --header "X-GitHub-Delivery: $(date +%s)-$$" \
  --header "X-Hub-Signature-256: sha256=$signature" \
  --data-binary "$payload"
