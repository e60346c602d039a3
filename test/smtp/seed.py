"""The flow of SendCloud's own Python sample, with a label and an inline picture."""

import os
import ssl
import sys
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from smtplib import SMTP

port, user, key = int(sys.argv[1]), sys.argv[2], os.environ["API_KEY"]
picture = bytes.fromhex(os.environ["PICTURE"])

msg = MIMEMultipart("related")
msg["Subject"] = "A picture"
msg["From"] = "Support <support@ifaxin.com>"
msg["To"] = "ben@ifaxin.com"
msg["Message-ID"] = "<seed@ifaxin.com>"
msg.attach(MIMEText('<p>See <img src="cid:image1"></p>\n.\n..\n', "html", "utf-8"))
image = MIMEImage(picture)
image.add_header("Content-ID", "image1")
msg.attach(image)
text = msg.as_string()

s = SMTP("localhost", port)
s.starttls(context=ssl.create_default_context(cafile=os.environ["CA_FILE"]))
s.login(user, key)
refused = s.sendmail("support@ifaxin.com", ["ben@ifaxin.com", "ann@ifaxin.com"], text)
s.quit()
assert refused == {}, refused
sys.stdout.write(text)
