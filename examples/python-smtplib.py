"""Sends one message over SMTP by Python's smtplib. The label is part of the user name.

The sandbox's certificate is trusted by SSL_CERT_FILE=data/sandbox-ca.pem.

    SSL_CERT_FILE=data/sandbox-ca.pem python3 examples/python-smtplib.py
"""

import os
import smtplib
import ssl
from email.message import EmailMessage

HOST = os.environ.get("POSTERN_SMTP_HOST", "localhost")
PORT = int(os.environ.get("POSTERN_SMTP_PORT", "2525"))
USER = os.environ.get("POSTERN_USER", "sandbox")
TOKEN = os.environ.get("POSTERN_TOKEN", "sandbox-token-for-development")

message = EmailMessage()
message["From"] = "Shop <shop@example.com>"
message["To"] = "ben@example.com"
message["Subject"] = "Your order is on its way"
message["Idempotency-Key"] = "order-21-shipped"
message.set_content("It should arrive on Thursday.")

with smtplib.SMTP(HOST, PORT, timeout=30) as smtp:
    smtp.starttls(context=ssl.create_default_context())
    smtp.login(f"{USER}#31337", TOKEN)
    smtp.send_message(message)
