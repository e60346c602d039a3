import type { SMTPServerSession } from 'smtp-server';
import type { SMTPConnection } from 'smtp-server/lib/smtp-connection';

/**
 * SendCloud's words, from the transcript of its SMTP page, in place of those that smtp-server has no option
 * for. Left as they are: the reply to STARTTLS and those to wrong commands, which the page does not show.
 */
export function speakSendCloud(connection: SMTPConnection): void {
  const send = connection.send.bind(connection);
  connection.send = (code, text, context) => {
    if (context === 'MESSAGE_TOO_BIG') return send(550, 'Message too big!', context);
    send(code, wording(connection.session, code, text, context), context);
  };
}

type Text = Parameters<SMTPConnection['send']>[1];
type Context = Parameters<SMTPConnection['send']>[2];

function wording({ envelope }: SMTPServerSession, code: number, text: Text, context: Context): Text {
  if (context === 'MAIL_FROM_OK') return `sender <${envelope.mailFrom ? envelope.mailFrom.address : ''}> OK`;
  if (context === 'RCPT_TO_OK') return `recipient <${envelope.rcptTo.at(-1)?.address}> OK`;
  if (code === 354) return 'go ahead, make my day';
  if (code === 221) return 'SendCloud Inbound Server closing connection. Have a jolly good day';
  return Array.isArray(text) ? text.toSorted((one, other) => rank(one) - rank(other)) : text;
}

const FEATURES = ['PIPELINING', '8BITMIME', 'SIZE', 'STARTTLS', 'AUTH'];

/** The place in the EHLO reply; its greeting, which is none of the features, stays first. */
const rank = (line: string) => FEATURES.indexOf(line.split(' ', 1)[0] ?? '');
