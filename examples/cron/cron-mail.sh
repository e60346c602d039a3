#!/bin/sh
# Mails its standard input over SMTP with curl, unless that is empty. The first argument is the subject.
# Never in the clear: --ssl-reqd. The sandbox's certificate is trusted by CURL_CA_BUNDLE=data/sandbox-ca.pem.
#
#   install examples/cron/cron-mail.sh /usr/local/bin/cron-mail
#   df -h | CURL_CA_BUNDLE=data/sandbox-ca.pem sh examples/cron/cron-mail.sh 'Disks'

from="${MAIL_FROM:-cron@example.com}"
to="${MAIL_TO:-ops@example.com}"
output=$(cat)
[ -n "$output" ] || exit 0

printf 'From: %s\nTo: %s\nSubject: %s\nContent-Type: text/plain; charset=utf-8\n\n%s\n' \
  "$from" "$to" "${1:-cron}" "$output" |
  curl --silent --show-error --ssl-reqd --crlf "${POSTERN_SMTP:-smtp://localhost:2525}" \
    --user "${POSTERN_USER:-sandbox}:${POSTERN_TOKEN:-sandbox-token-for-development}" \
    --mail-from "$from" --mail-rcpt "$to" --upload-file -
