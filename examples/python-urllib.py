"""Sends one message by Python's own urllib; no package is needed.

    python3 examples/python-urllib.py
"""

import json
import os
import sys
import urllib.error
import urllib.request

URL = os.environ.get("POSTERN_URL", "http://localhost:8080")
TOKEN = os.environ.get("POSTERN_TOKEN", "sandbox-token-for-development")

message = {
    "from": "Shop <shop@example.com>",
    "to": "ben@example.com",
    "subject": "Your order is on its way",
    "text": "It should arrive on Thursday.",
}
request = urllib.request.Request(
    f"{URL}/v1/messages",
    data=json.dumps(message).encode(),
    headers={
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json",
        "Idempotency-Key": "order-20-shipped",
    },
)
try:
    with urllib.request.urlopen(request, timeout=30) as response:
        print("Sent as", json.load(response)["messageId"])
except urllib.error.HTTPError as error:
    problem = json.load(error)
    sys.exit(f"{problem['code']} ({problem['delivery']}): {problem['detail']}")
